#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# benchmarks/peers/build, with stubs for cargo, pip and cmake: what one peer cannot
# get keeps no other away, a fetch is tried twice, and it says why.
# Arguments: filch, benchmarks/peers/build.
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"
mkdir -p benchmarks/peers/rust benchmarks/peers/c/boost stubs build/peers
echo "boost" >benchmarks/peers/c/boost/requirements.txt
cp "$2" benchmarks/peers/build
filch=$work/benchmarks/peers/build
PATH=$work/stubs:$PATH
export work PATH

# Nothing is in its cache.  rayon comes at the second try, compio never, of
# monoio's compiler there is no last word; glommio comes at once.
cat >stubs/cargo <<'END'
#!/bin/sh
offline=
for word; do
	case $word in
	peer_*) crate=${word#peer_} ;;
	--offline) offline=1 ;;
	esac
done
if [ -n "$offline" ]; then
	echo "error: not cached, and --offline was specified" >&2
	exit 101
fi
echo "$crate" >>"$work/fetched"
case $crate in
rayon) [ "$(grep -c rayon "$work/fetched")" -eq 2 ] ;;
compio) false ;;
monoio) exit 137 ;;
esac || {
	echo "    Updating index" >&2
	echo "error: failed to get \`libc\`" >&2
	printf '\nCaused by:\n  failed\n\nCaused by:\n  no network\n' >&2
	exit 101
}
mkdir -p "$CARGO_TARGET_DIR/release"
echo "#!/bin/sh" >"$CARGO_TARGET_DIR/release/$crate"
chmod +x "$CARGO_TARGET_DIR/release/$crate"
END
cat >stubs/cmake <<'END'
#!/bin/sh
case $* in
*"-S c"*)
	echo "--   Package 'libuv' not found"
	[ -n "${asio-}" ] || echo "-- asio is skipped: no Asio"
	;;
*)
	[ -z "${asio-}" ] || echo "asio.cpp:5:1: error: odd"
	echo "make: *** No rule to make target '$*'"
	exit 2
	;;
esac
END
# Pip, which gets the wheel at the third try.
cat >stubs/python3 <<'END'
#!/bin/sh
echo boost >>"$work/wheels"
if [ "$(grep -c boost "$work/wheels")" -lt 3 ]; then
	echo "ERROR: no wheel" >&2
	exit 1
fi
mkdir -p "$work/build/peers/boost"
END
chmod +x stubs/cargo stubs/cmake stubs/python3

# not_built NAME REASON
not_built()
{
	grep -qxF "peers: $1 is not built (see $work/build/peers/$1.log): $2" \
		"$work/out" || fail "$1: does not say: $2"
	[ "$(cat "build/peers/$1.why")" = "$2" ] || fail "$1.why: not $2"
	[ ! -x "build/peers/$1" ] || fail "$1: an older program is left"
}

for peer in rayon compio; do
	echo "an older program" >"build/peers/$peer"
	chmod +x "build/peers/$peer"
	echo "an older reason" >"build/peers/$peer.why"
done
run 0 compio monoio asio rayon glommio
for peer in rayon glommio; do
	grep -q '^#!/bin/sh' "build/peers/$peer" || fail "no $peer"
	[ ! -e "build/peers/$peer.why" ] || fail "$peer.why is left"
done
not_built compio "error: failed to get \`libc\`: no network"
not_built monoio "it says nothing"
not_built asio "ERROR: no wheel"
printf '%s\n' compio compio monoio monoio rayon rayon glommio |
	diff - fetched || fail "each fetch that failed is tried twice"

rm stubs/cargo
PATH=$work/stubs:/usr/bin:/bin
if ! command -v cargo >/dev/null; then
	run 1 rayon
	not_built rayon "cargo: command not found"
fi

run 1 asio
not_built asio "-- asio is skipped: no Asio"
asio=found
export asio
run 1 asio
not_built asio "asio.cpp:5:1: error: odd"
[ "$(grep -c boost wheels)" -eq 3 ] || fail "what was fetched is fetched again"
