# shellcheck shell=sh
# SPDX-License-Identifier: BSD-2-Clause
# What the tests of the tool share; sourced with the program as $1.
set -eu
filch=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail()
{
	echo "failed: $*"
	for log in out err; do
		[ ! -s "$work/$log" ] || sed "s/^/  $log: /" "$work/$log"
	done
	exit 1
}

# run STATUS ARGUMENT...: the program must exit with that.
run()
{
	wanted=$1
	shift
	status=0
	"$filch" "$@" >"$work/out" 2>"$work/err" || status=$?
	[ "$status" -eq "$wanted" ] ||
		fail "filch $*: exit $status, not $wanted"
}

# refused WORD ARGUMENT...: bad input, and one line that names what is wrong.
refused()
{
	word=$1
	shift
	run 2 "$@"
	[ "$(wc -l <"$work/err")" -eq 1 ] || fail "filch $*: not one line"
	grep -q -e "$word" "$work/err" || fail "filch $*: no $word"
	grep -q "^${filch##*/}: " "$work/err" || fail "filch $*: not our prefix"
}

# eventually CONDITION...: wait until the command succeeds, at most 30 s.
eventually()
{
	tries=600
	until "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || fail "never came true: $*"
		sleep 0.05
	done
}

# interrupted SIGNAL ARGUMENT...: a run on a file of its own, stopped half-way,
# says so by its exit code, reports, and leaves nothing behind.
interrupted()
{
	signal=$1
	shift
	"$filch" "$@" --size=1m --runtime=600 --output=json \
		>"$work/out" 2>"$work/err" &
	process=$!
	eventually has_begun "$process"
	kill "-$signal" "$process"
	status=0
	wait "$process" || status=$?
	[ "$status" -eq 130 ] || fail "$filch $*: $signal: exit $status"
	jq -e '.operations >= 0' "$work/out" >/dev/null ||
		fail "$filch $*: $signal: no report"
	[ -z "$(find . -name 'filch-bench.*')" ] ||
		fail "$filch $*: $signal: a file was left behind"
}

# The file is written before there are threads, and has lost its name by then.
has_begun()
{
	[ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l)" -gt 1 ] &&
		find "/proc/$1/fd" -lname '*/filch-bench.* (deleted)' |
		grep -q .
}

# The drivers to test: of one that the system has, a failure is a failure.
drivers=posix
if [ "$(env -u FILCH_DRIVER "$filch" info --output=json |
	jq -r .driver)" = uring ]; then
	# shellcheck disable=SC2034 # for those that source this
	drivers="posix uring"
fi
