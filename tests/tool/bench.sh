#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# filch bench and info as a user sees them.  Argument: the program.
set -eu
filch=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Bad input: exit 2 and one line that names what is wrong.
refused() {
	word=$1
	shift
	status=0
	"$filch" "$@" >out 2>err || status=$?
	[ "$status" -eq 2 ] || { echo "$*: exit $status, not 2"; exit 1; }
	[ "$(wc -l <err)" -eq 1 ] || { echo "$*: not one line"; exit 1; }
	grep -q -e "$word" err || { echo "$*: no $word"; exit 1; }
}
refused COMMAND
refused frob frob
refused --bs bench --bs=x
refused --iodepth bench --iodepth=0
refused --output info --output=xml

for driver in posix uring; do
	"$filch" bench --driver=$driver --size=1m --number_ios=1000 \
		--verify=1 --output=json >out || {
		[ $driver = uring ] && continue
		exit 1
	}
	jq -e --arg d $driver '.driver == $d and .errors == 0 and .iops > 0
		and .lat_ns.p999 > 0' out >/dev/null
done
"$filch" info --output=json | jq -e '.version and .reason and .limits' >/dev/null
