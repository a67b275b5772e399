#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# filch bench and info as a user sees them.  Argument: the program.
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

refused COMMAND
refused frob frob
( export FILCH_DRIVER=frob; refused FILCH_DRIVER info )
refused --frob bench --frob
refused --bs bench --bs=x
refused --bs bench --bs
refused "from 1 to 256$" bench --workers=0
refused b bench a b
refused b bench --filename=a b
refused --filename bench --filename=
refused --filename bench ''
refused --overwrite bench --overwrite=1
refused --iodepth bench --iodepth=0
refused --shared_sync bench --shared_sync=1
refused --shared_sync bench --shared_sync=1 --fdatasync=4 --batch=2
refused --rate bench --rate=x
refused --rate bench --rate=-1
refused "rate: .* from 0 to 1000000000" bench --rate=1000000001
refused "rate: needs --batch=1" bench --rate=1000 --batch=2
refused map bench --map=2
refused "map: needs reads" bench --map=1 --rw=randwrite
refused "map: needs reads" bench --map=1 --rw=randrw --rwmixread=0
refused "map: .* --direct=0" bench --map=1 --direct=1
refused --output info --output=xml
refused --frob info --frob

# Syncs that others share are counted one by one, as their own are.
for driver in $drivers; do
	for sync in fsync fdatasync; do
		run 0 bench --driver="$driver" --size=1m --number_ios=200 \
			--rw=randwrite --workers=1 --$sync=4 --shared_sync=1 \
			--runtime=600 --output=json
		jq -e '.syncs == 50 and .operations == 200
			and .shared_sync == 1' out >/dev/null ||
			fail "$driver: shared $sync"
	done
done

for driver in $drivers; do
	run 0 bench --driver="$driver" --size=1m --number_ios=1000 \
		--verify=1 --output=json
	jq -e --arg d "$driver" '.driver == $d and .errors == 0 and .iops > 0
		and .lat_ns.p999 > 0' out >/dev/null || fail "$driver: report"
	[ ! -s err ] || fail "$driver: progress without a terminal"
done

# Through a mapping the right content is read, and what was written since.
for driver in $drivers; do
	for how in --rw=randread '--rw=read --iodepth=7 --batch=3' \
		'--rw=randrw --fdatasync=8' --rate=100000; do
		# shellcheck disable=SC2086 # options, split on purpose
		run 0 bench --driver="$driver" --map=1 $how --verify=1 \
			--size=1m --number_ios=3000 --runtime=600 --output=json
		jq -e '.map == 1 and .operations == 3000 and .errors == 0' \
			out >/dev/null || fail "$driver: --map=1 $how"
	done
done
head -c 1048576 /dev/zero >there
run 1 bench --map=1 --verify=1 --number_ios=10 --output=json there
jq -e '.mismatches == 10' out >/dev/null || fail "--map=1: mismatches"
rm there

# An open loop takes its time: the last of 100 is due after 49.5 ms.
for driver in $drivers; do
	run 0 bench --driver="$driver" --size=1m --number_ios=100 --rate=2000 \
		--iodepth=4 --rw=randrw --fdatasync=8 --runtime=600 \
		--output=json
	jq -e '.rate == 2000 and .operations == 100 and .seconds > 0.049
		and .syncs > 1' out >/dev/null || fail "$driver: --rate"
done

# On a terminal the progress is shown, and wiped away before the report.
if command -v script >/dev/null; then
	script -qec "'$filch' bench --size=1m --runtime=700ms" /dev/null \
		</dev/null >out
	grep -q 's of 0\.7, [0-9]* operations, [0-9]* IOPS' out ||
		fail "no progress on a terminal"
	tr '\r' '\n' <out | grep -q 'errors 0$' || fail "no report at the end"
fi

# The same file, whatever the driver: its size and not --size bounds the run.
head -c 100000 /dev/zero >there
run 0 bench --size=1m --number_ios=10 --output=json there
jq -e '.size == 98304 and .filename == "there"' out >/dev/null ||
	fail "there: size"
run 2 bench --bs=128k --size=1m there
rm there

run 0 info --output=json
jq -e '.version and .reason and .limits' out >/dev/null || fail "info: report"
# Limits of POSIX AIO: all of them where they bound the driver, else none.
jq -e 'if .driver == "kqueue"
	then .aio["vfs.aio.max_aio_queue_per_proc"] > 0 and .aio.AIO_LISTIO_MAX > 0
	else has("aio") | not end' out >/dev/null || fail "info: aio"
run 0 info
grep -q '^driver  ' out || fail "info: table"

if [ -c /dev/full ]; then
	status=0
	"$filch" info >/dev/full 2>err || status=$?
	[ "$status" -eq 1 ] || fail "info: full: exit $status"
	grep -q '^filch: info: standard output: write: ' err ||
		fail "info: full: no word of it"
fi

# A file that was there is not written to unless asked, and stays.
head -c 1048576 /dev/zero >there
refused there bench --rw=write there
cmp -n 1048576 there /dev/zero || fail "there: was written to"
run 0 bench --rw=write --size=1m --number_ios=10 --overwrite there
[ -f there ] || fail "there: was removed"
rm there

for driver in $drivers; do
	interrupted INT bench --driver="$driver"
	interrupted TERM bench --driver="$driver"
	interrupted INT bench --driver="$driver" --rate=1
done
