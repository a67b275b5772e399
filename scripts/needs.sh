# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Sourced by scripts and CI: packages that are missing, installed or named.

# What the library and its programs need; a build with tests, and what the
# scripts type.
# shellcheck disable=SC2034 # for those that source this
library_packages=(cmake make g++ pkg-config libck-dev liburing-dev)
# shellcheck disable=SC2034 # as above
build_packages=("${library_packages[@]}" libcriterion-dev libtbb-dev
	relacy-dev jq)

# need_packages PACKAGE...: install with apt-get as root on Debian; otherwise
# name what is missing and stop.
need_packages()
{
	local missing=() package log

	if ! command -v dpkg-query >/dev/null; then
		return 0 # not Debian: cmake says what it does not find
	fi
	for package in "$@"; do
		if ! dpkg-query -W -f '${db:Status-Status}' "$package" \
			2>/dev/null | grep -q '^installed'; then
			missing+=("$package")
		fi
	done
	if [ "${#missing[@]}" -eq 0 ]; then
		return 0
	fi
	if [ "$(id -u)" -ne 0 ]; then
		echo "missing packages: ${missing[*]}" >&2
		echo "get them with: sudo apt-get install ${missing[*]}" >&2
		return 1
	fi
	echo "installing ${missing[*]}" >&2
	log=$(mktemp)
	if ! { apt-get update -qq &&
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends "${missing[@]}"; } \
		>"$log" 2>&1 </dev/null; then
		cat "$log" >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
}

# quietly COMMAND...: its output is shown only if it fails.
quietly()
{
	local log

	log=$(mktemp)
	if ! "$@" >"$log" 2>&1 </dev/null; then
		cat "$log" >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
}

# build_preset PRESET [CMAKE-ARGUMENT...]
build_preset()
{
	local preset=$1
	local generator=()

	shift
	if [ ! -f "build/$preset/CMakeCache.txt" ] &&
		command -v ninja >/dev/null; then
		generator=(-G Ninja)
	fi
	echo "building build/$preset" >&2
	quietly cmake --preset "$preset" "${generator[@]}" "$@"
	quietly cmake --build "build/$preset" -j "$(nproc)"
}
