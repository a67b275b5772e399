#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The limits take the options of filch bench and report alike.
# Arguments: filch, then the programs.
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

keys()
{
	jq -c '[paths | map(tostring) | join(".")] | sort' "$work/out"
}

# stuck ARGUMENT...: a task that computes has its turns beside the others.
stuck()
{
	run 0 "$@" --rw=randrw --rwmixread=100 --size=2m --runtime=200ms \
		--stuck=2ms --stuck_every=5ms --iodepth=4 --verify \
		--fdatasync=1 --output=json
	jq -e '.stuck_turns > 1 and .stuck == 0.002 and .operations > 0
		and .rwmixread == 100 and .syncs == 0' "$work/out" \
		>/dev/null || fail "$*: report of --stuck"
}

# every_mode ARGUMENT...: all of --rw, in every way the options offer, with all
# that is read checked and all that is written synced.
every_mode()
{
	for mode in randread randwrite read write randrw; do
		for how in --iodepth=1 '--iodepth=7 --batch=3' --direct=1 \
			'--lock=1 --pin=1 --lat=0'; do
			# shellcheck disable=SC2086 # options, split on purpose
			run 0 "$@" --rw="$mode" $how \
				--number_ios=333 --runtime=600 \
				--bs=8k --size=2m --workers=3 --fsync=10 \
				--fdatasync=7 --seed=5 --verify --output=json
			jq -e --arg mode "$mode" '.rw == $mode
				and .operations == 333
				and .bytes_per_s > 0 and .errors == 0
				and (.syncs > 0) == ($mode | test("w"))' \
				"$work/out" >/dev/null ||
				fail "$* $mode $how: report"
		done
	done
}

# mapped: --map=1 makes another limit of raw_pread, and is nothing for others.
mapped()
{
	if [ "${filch##*/}" != raw_pread ]; then
		refused "only of filch and raw_pread" --map=1
		return
	fi
	refused "map: needs reads" --map=1 --rw=write
	refused "map: .* --direct=0" --map=1 --direct=1
	for how in --rw=randread '--rw=read --lock=1' \
		'--rw=randrw --iodepth=7 --batch=3'; do
		# shellcheck disable=SC2086 # options, split on purpose
		run 0 --map=1 $how --verify --number_ios=3000 --runtime=600 \
			--size=1m --output=json
		jq -e '.driver == "raw_mmap" and .map == 1 and .errors == 0
			and .operations == 3000' "$work/out" >/dev/null ||
			fail "--map=1 $how: report"
	done
}

# A file system without O_DIRECT is no place for this test.
if ! dd if=/dev/zero of=direct bs=4k count=1 oflag=direct 2>/dev/null; then
	echo "skipped: no O_DIRECT in $work"
	exit 77
fi
run 0 bench --number_ios=100 --size=1m --output=json
bench_keys=$(keys)
every_mode bench
stuck bench
shift
for filch; do
	run 0 --help
	refused --frob --frob
	refused --iodepth --iodepth=0
	refused --bs --bs=12
	refused --batch --iodepth=1 --batch=2
	refused --driver --driver=frob
	refused --runtime --runtime=5x
	refused --rwmixread --rwmixread=101
	refused --stuck --stuck=10ms
	refused --rate --rate=x
	refused --rate --rate=10 --batch=2
	refused b a b

	run 0 --number_ios=100 --size=1m --driver=posix --output=json
	[ "$(keys)" = "$bench_keys" ] || fail "$filch: other keys than filch bench"
	jq -e --arg name "${filch##*/}" '.driver == $name and .iops > 0
		and .lat_ns.max >= .lat_ns.p999 and .lat_ns.p50 > 0' \
		"$work/out" >/dev/null || fail "$filch: report"
	every_mode
	stuck
	mapped

	# The last of 100 is due after 49.5 ms.
	run 0 --number_ios=100 --runtime=600 --rate=2000 --size=1m \
		--iodepth=4 --rw=randrw --fdatasync=8 --verify --output=json
	jq -e '.rate == 2000 and .operations == 100 and .seconds > 0.049
		and .syncs > 1 and .errors == 0' "$work/out" >/dev/null ||
		fail "$filch: --rate"

	# What was not written by us is noticed, byte for byte.
	head -c 1048576 /dev/zero >there
	run 1 --verify --number_ios=10 --output=json there
	grep -q 'there: read at .*differs' "$work/err" ||
		fail "$filch: no word of the mismatch"
	jq -e '.errors == 10 and .mismatches == 10' "$work/out" >/dev/null ||
		fail "$filch: mismatches"
	if [ "${filch##*/}" = raw_pread ]; then
		run 1 --map=1 --verify --number_ios=10 --output=json there
		jq -e '.mismatches == 10' "$work/out" >/dev/null ||
			fail "$filch: --map=1: mismatches"
	fi

	# It is not written to unless asked, and stays.
	refused overwrite --rw=write there
	cmp -n 1048576 there /dev/zero || fail "there: was written to"
	run 0 --rw=randrw --verify --number_ios=500 --overwrite there
	[ "$(wc -c <there)" -eq 1048576 ] || fail "there: changed its size"
	run 0 --rw=read --verify --number_ios=256 there

	# A failure of I/O is told with path, operation and reason.
	run 1 --number_ios=1 "$work"/no/file
	grep -q 'no/file: create: No such file' "$work/err" ||
		fail "$filch: no word of the failure"

	interrupted INT
	interrupted TERM
	interrupted INT --rate=1
done
