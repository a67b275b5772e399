#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The programs of the peers, those that are built: they take our options, check
# their own results, keep to an open loop's schedule, and report alike.
# Arguments: filch, the folder of the peers' programs.
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"
peers=$2

# holds FILTER WHAT: jq's filter is true of all that was printed, and each line
# says whose it is.
holds()
{
	jq -es --arg peer "${filch##*/}" "length > 0 and all(.peer == \$peer
		and (.version | test(\"^[0-9]+[.][0-9]\"))
		and (.workload | length) > 0 and ($1))" "$work/out" >/dev/null ||
		fail "$filch: $2: not $1"
}

# transfers WORKLOAD ARGUMENT...: reads, and writes if it is mixed.
transfers()
{
	workload=$1
	shift
	run 0 "$workload" "$@" --size=2m --number_ios=500 --iodepth=4 \
		--runtime=600 --verify=1 --pin=1 --seed=5 --output=json
	holds '.operations == 500 and .errors == 0 and .mismatches == 0
		and .iops > 0 and .rate == 0 and .seed == 5 and .pin == 1
		and .lat_ns.p50 > 0 and .lat_ns.max >= .lat_ns.p999' "$*"
}

# past_cache WORKLOAD ARGUMENT...: the same with O_DIRECT, where that is known.
past_cache()
{
	if dd if=/dev/zero of=direct bs=4k count=1 oflag=direct 2>/dev/null; then
		transfers "$@" --direct=1
		holds '.direct == 1' "$* --direct"
	fi
}

# mixed ARGUMENT...
mixed()
{
	transfers mixed "$@"
	holds '.syncs > 0 and .stuck == 0.002 and .stuck_every == 0.01' "$*"

	# The last of 100 is due after 49.5 ms.
	run 0 mixed "$@" --rate=2000 --number_ios=100 --size=1m --iodepth=4 \
		--runtime=600 --output=json
	holds '.rate == 2000 and .operations == 100 and .seconds > 0.049
		and .stuck_turns > 0' "$* --rate"
	# However late it is, it does no more than is due.
	run 0 mixed "$@" --rate=1000 --runtime=200ms --size=1m --iodepth=4 \
		--stuck=0 --output=json
	holds '.operations <= 200 and .operations > 0 and .stuck == 0
		and .stuck_turns == 0' "$* --rate, --runtime"

	run 2 mixed "$@" "$work/there"
	cmp -n 1048576 "$work/there" /dev/zero || fail "$filch: wrote to a file"
}

# reads ARGUMENT...
reads()
{
	run 2 read --frob=1
	run 2 read --iodepth=0
	transfers read "$@"
	run 1 read "$@" --verify=1 --number_ios=10 --output=json "$work/there"
	grep -q 'differs' "$work/err" || fail "$filch: no word of the mismatch"
}

wakes()
{
	for bench in eventfd timer; do
		run 0 wake --bench="$bench" --samples=20
		holds '.samples == 20 and .p50_ns > 0 and .pin == 0
			and .max_ns >= .p999_ns' "wake $bench"
	done
	for bench in parked parked_timer; do
		run 0 wake --bench="$bench" --tasks=20000
		holds '.bytes_per_task > 0 and .tasks == 20000' "wake $bench"
	done
	run 2 wake --bench=frob
}

sched()
{
	run 0 sched --rounds=1
	holds '.ns_per_op > 0 and .rounds == 1' sched
	run 2 sched --only=frob
}

head -c 1048576 /dev/zero >"$work/there"
found=
for path in "$peers"/*; do
	if [ -f "$path" ] && [ -x "$path" ]; then
		filch=$path
		found="$found ${path##*/}"
		run 2 frob
		case ${path##*/} in
		tokio*) sched; wakes
			for engine in blocking fs; do
				reads --engine="$engine"
				mixed --engine="$engine"
			done
			past_cache read --engine=blocking
			past_cache mixed --engine=blocking
			run 2 read --engine=fs --direct=1 ;;
		asio) sched; wakes ;;
		asio_ring)
			for contexts in shared each; do
				reads --contexts="$contexts"
				mixed --contexts="$contexts"
				past_cache read --contexts="$contexts"
				past_cache mixed --contexts="$contexts"
			done
			# More than Asio takes off its ring at a time.
			run 0 read --contexts=shared --workers=2 --iodepth=200 \
				--size=2m --number_ios=20000 ;;
		go) sched; wakes; reads; mixed
			past_cache read; past_cache mixed ;;
		uv | compio | monoio) wakes; reads; mixed
			past_cache read; past_cache mixed ;;
		glommio) reads; past_cache read ;;
		rayon) sched ;;
		esac
	fi
done
if [ -z "$found" ]; then
	echo "skipped: no peers in $peers"
	exit 77
fi
echo "passed:$found"
