#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# scripts/bench, with our own programs alone.
# Arguments: filch, scripts/bench, the folder of the benchmarks' programs.
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"
filch=$2
bin=$3

refused frob --frob
refused "only: 'frob'" --only=frob
refused only: --only=
refused "peers: 'frob'" --peers=tbb,frob
refused rounds --rounds=0
refused rounds --rounds=x
refused seconds --seconds=61
refused workers --workers=0
run 0 --list
grep -q '^sched ' "$work/out" || fail "--list: no sched"
grep -q '^mixed .*open at [0-9]* operations a second' "$work/out" ||
	fail "--list: no rate"

run 0 --quick --only=sched --peers= --bin="$bin" --output="$work/results"
for bench in spawn_many_worker spawn_many_remote_idle chained_spawn \
	yield_many ping_pong skynet_1M skynet_1M_join; do
	for where in free pinned; do
		grep -q "^| sched $where $bench .*filch.* 1.00 |$" \
			"$work/out" || fail "no row for $bench, $where"
	done
done
grep -q 'workers; one round; load' "$work/out" || fail "no word of the rounds"
! grep -q 'best of the others' "$work/out" || fail "targets without others to judge by"
jq -es 'length == 14 and all(.found.ns_per_op > 0 and .seed == 1
	and (.cpu | length) > 0 and .cores > 0 and (.kernel | length) > 0
	and (.commit | length) > 0)' "$work"/results/*.jsonl >/dev/null ||
	fail "the results"

refused counts --counts --against="$work/nothing"
echo '{"row":5,"program":5,"found":{}}' >"$work/odd"
refused "is no row" --table="$work/odd"

# Results are read again, and a row that has become worse is named.
refused "is no result" --table="$filch"
refused "No such file" --against="$work/nothing"
jq -c '., (.program = "peer" | .found.ns_per_op = 5)' "$work"/results/*.jsonl \
	>"$work/before"
jq -c 'if .program == "filch" and .row == "sched free skynet_1M"
	then .found.ns_per_op *= 3 else . end' "$work/before" >"$work/after"
run 0 --table="$work/before" --against="$work/before"
grep -q '^| sched pinned skynet_1M | ns | peer | .* | 1.00 | ' "$work/out" ||
	fail "--table: no targets"
grep -q "^| the scheduler's ns | every peer | .* | 1.00 | [0-9]* of 14 |$" \
	"$work/out" || fail "--table: no line for all rows of a target"
! grep -q 'then,' "$work/err" || fail "--against: differs from itself"
# How often it was measured is told, and what was kept without that is read.
jq -c '.rounds = 2' "$work/before" >"$work/twice"
run 0 --table="$work/twice" --against="$work/before"
grep -q 'workers; medians .* of 2 alternated rounds\.$' "$work/out" ||
	fail "--table: no word of the rounds"
grep -q 'rounds: 1 then, 2 now' "$work/err" || fail "--against: other rounds"
jq -c 'del(.rounds, .runtime)' "$work/before" >"$work/old"
run 0 --table="$work/old" --against="$work/before"
grep -q '; 2 workers\.$' "$work/out" || fail "--table: old results"
! grep -q 'then,' "$work/err" || fail "--against: of rounds that nobody knows"
run 1 --table="$work/after" --against="$work/before"
grep -q 'sched free skynet_1M: ns: 200 % worse' "$work/err" ||
	fail "--against: says nothing of skynet_1M"
test "$(grep -c worse "$work/err")" -eq 1 || fail "--against: names other rows"
grep -q 'by chance' "$work/err" || fail "--against: no word of one round"

jq -c 'select(.program == "peer")' "$work/before" >"$work/alone"
run 1 --table="$work/alone" --against="$work/before"
grep -q 'no row can be compared' "$work/err" || fail "--against: no filch now"
run 1 --table="$work/before" --against="$work/alone"
grep -q 'no row can be compared' "$work/err" || fail "--against: no filch then"

# Of mixed, throughput is judged by the closed rows, tails by both kinds.
for row in "mixed hot QD 32 free" "mixed open hot QD 32 free"; do
	for program in filch compio; do
		echo "{\"row\":\"$row\",\"program\":\"$program\",\"found\":
			{\"iops\":5,\"lat_ns\":{\"p50\":5,\"p99\":5}}}" |
			tr -d '\n\t'
		echo
	done
done >"$work/mixed"
run 0 --table="$work/mixed"
grep -q '^| mixed hot QD 32 free | k/s | compio | 1.00 | 0.95 ' "$work/out" ||
	fail "--table: no target of the closed row"
grep -q '^| mixed open hot QD 32 free | p99 us | compio | 1.00 | 5.00 ' \
	"$work/out" || fail "--table: no target of the open row"
test "$(grep -c ' of [12] |$' "$work/out")" -eq 3 ||
	fail "--table: a row is judged twice"

# Every figure in its unit, and beside filch's.
# made ROW FOUND-OF-FILCH FOUND-OF-COMPIO
made()
{
	printf '{"row":"%s","program":"%s","found":{%s}}\n' \
		"$1" filch "$2" "$1" compio "$3"
}
{
	made "read hot QD 8 pinned" '"iops":2e6,"cpu_ns_per_op":900' \
		'"iops":5e5,"cpu_ns_per_op":1800'
	made "mixed open hot QD 32 free" \
		'"iops":2e4,"lat_ns":{"p50":5e4,"p99":2e5,"p999":4e5}' \
		'"iops":1e4,"lat_ns":{"p50":1e5,"p99":1e5,"p999":1e5}'
	made "wake task free" '"p50_ns":1500,"p99_ns":2500,"p999_ns":3500' \
		'"p50_ns":3000,"p99_ns":2500,"p999_ns":350'
	for bytes in 2048 6144 1024; do
		made "memory executor" '"bytes_per_executor":'$bytes \
			'"bytes_per_executor":4096'
	done
} >"$work/units"
run 0 --table="$work/units"
cat >"$work/rows" <<'END'
| read hot QD 8 pinned | k/s, more | **filch** | 2000.0 | 1.00 |
|  |  | compio | 500.0 | 0.25 |
| read hot QD 8 pinned | CPU ns an operation, less | **filch** | 900 | 1.00 |
|  |  | compio | 1800 | 2.00 |
| mixed open hot QD 32 free | k/s of 20, more | **filch** | 20.0 | 1.00 |
|  |  | compio | 10.0 | 0.50 |
| mixed open hot QD 32 free | p50 us, less | **filch** | 50.0 | 1.00 |
|  |  | compio | 100.0 | 2.00 |
| mixed open hot QD 32 free | p99 us, less | filch | 200.0 | 1.00 |
|  |  | **compio** | 100.0 | 0.50 |
| mixed open hot QD 32 free | p99.9 us, less | filch | 400.0 | 1.00 |
|  |  | **compio** | 100.0 | 0.25 |
| wake task free | p50 us, less | **filch** | 1.50 | 1.00 |
|  |  | compio | 3.00 | 2.00 |
| wake task free | p99 us, less | **filch** | 2.50 | 1.00 |
|  |  | compio | 2.50 | 1.00 |
| wake task free | p99.9 us, less | filch | 3.50 | 1.00 |
|  |  | **compio** | 0.35 | 0.10 |
| memory executor | KiB an executor, less | **filch** | 2 (1..6) | 1.00 |
|  |  | compio | 4 | 2.00 |
END
sed -n '/^|---/,/^$/p' "$work/out" | sed '1d;/^$/,$d' >"$work/shown"
diff "$work/rows" "$work/shown" || fail "--table: other rows or figures"
cat >"$work/targets" <<'END'
| hot reads a second | every peer | 4.00..4.00 | 1.00 | 1 of 1 |
| p99 in an open loop | compio, monoio | 0.50..0.50 | 5.00 | 0 of 1 |
| wakes' p50 | every peer | 2.00..2.00 | 1.00 | 1 of 1 |
| wakes' p99.9 | every peer | 0.10..0.10 | 1.00 | 0 of 1 |
END
grep ' of 1 |$' "$work/out" | diff "$work/targets" - ||
	fail "--table: other targets"
run 0 --table="$work/units" --brief
grep -q 'QD: operations in flight' "$work/out" || fail "--brief: no legend"
grep -qF '| wake task free | p50 us | 1.50 | compio 3.00 |' "$work/out" ||
	fail "--brief: no row of the first figure"
grep -qF '|  | p99.9 us | 3.50 | compio 0.350 |' "$work/out" ||
	fail "--brief: no row of the third figure"
grep -qF '| memory executor | KiB an executor | 2.00 (1.00..6.00) | compio' \
	"$work/out" || fail "--brief: no spread"
refused "only with --table" --brief

# What is mapped is judged beside all that filch is; its limit is no peer and
# none of those that filch is judged by.
while read -r iops program; do
	printf '{"row":"read hot QD 8 free","program":"%s","found":{"iops":%s}}\n' \
		"$program" "$iops"
done >"$work/mapped" <<'END'
1000 filch
4000 filch map
5000 raw_mmap
800 raw_pread
1250 raw_uring
500 compio
250 tokio fs
2000 fio mmap
END
run 0 --table="$work/mapped"
cat >"$work/targets" <<'END'
| hot reads a second | raw_uring, raw_pread | 0.80..0.80 | 0.95 | 0 of 1 |
| the same, mapped | raw_uring, raw_pread | 3.20..3.20 | 0.95 | 1 of 1 |
| hot reads a second | every peer | 2.00..2.00 | 1.00 | 1 of 1 |
| the same, mapped | every peer (by system calls, fio mmap by a mapping) | 2.00..2.00 | 1.00 | 1 of 1 |
| hot reads a second | tokio, uv | 4.00..4.00 | 3.00 | 1 of 1 |
| the same, mapped | tokio, uv | 16.00..16.00 | 3.00 | 1 of 1 |
END
grep ' of 1 |$' "$work/out" | diff "$work/targets" - ||
	fail "--table: other targets of what is mapped"
run 0 --table="$work/mapped" --brief
grep -qF '*raw_mmap 5.00*, filch map 4.00, fio mmap 2.00, *raw_uring 1.25*, ' \
	"$work/out" || fail "--brief: no limit, or no peer"
sed '/filch map/s/4000/2000/' "$work/mapped" >"$work/slower"
run 1 --table="$work/slower" --against="$work/mapped"
grep -q 'QD 8 free (filch map): k/s: 100 % worse' "$work/err" ||
	fail "--against: says nothing of what is mapped"
test "$(grep -c worse "$work/err")" -eq 1 || fail "--against: names filch too"

# A relative name is relative to where one is.
run 0 --table=units

# A program that is not there is told, and its row is left out.
run 1 --quick --only=sched --peers= --bin="$work" --output="$work/results"
grep -q 'is not built' "$work/err" || fail "no word of the missing program"

# Nor are folders.
run 1 --quick --only=read --peers= --bin="$bin" --directory="$work/none" \
	--output="$work/results"
grep -q "^bench: .*none/bench.*: No such file" "$work/err" ||
	fail "no word of the folder"
run 1 --only=sched --peers= --bin="$bin" --output=/proc/none
grep -q '^bench: /proc/none: No such file' "$work/err" ||
	fail "no word of the folder for results"

# Idle CPU is to be 0, whatever others need.
idle='{"row":"wake idle","program":"%s","found":{"cpu_percent":%s,"wakes_per_s":0}}\n'
# shellcheck disable=SC2059 # the format is the line
{ printf "$idle" filch 0.0004; printf "$idle" peer 1; } >"$work/rests"
# shellcheck disable=SC2059 # as above
{ printf "$idle" filch 0; printf "$idle" peer 1; } >"$work/slept"
# shellcheck disable=SC2059 # as above
{ printf "$idle" filch 0.5; printf "$idle" peer 1; } >"$work/works"
run 0 --table="$work/rests"
grep -q '^| idle CPU | .* | 1 of 1 |$' "$work/out" || fail "0.0004 is not 0"
run 1 --table="$work/works" --against="$work/slept"
grep -q '^| idle CPU | .* | 0 of 1 |$' "$work/out" || fail "0.5 is 0"
grep -q 'wake idle: CPU %: no longer 0' "$work/err" || fail "0.5 is no fall"

# Hot reads, and only they, are also made through a mapping.  What is past the
# cache fails where the file system has no O_DIRECT: exit 1.
status=0
"$filch" --quick --only=read --peers= --bin="$bin" --directory="$work" \
	--output="$work/reads" >"$work/out" 2>"$work/err" || status=$?
[ "$status" -le 1 ] || fail "hot reads: exit $status"
jq -es 'map(select(.row | test(" hot "))) | length == 10
	and (group_by(.row) | map(map(.program) | sort) | all(. ==
		["filch", "filch map", "raw_mmap", "raw_pread", "raw_uring"]))
	and all(.found.errors == 0
		and (.found.map == 1) == (.program | test("map")))
	and all(.program != "raw_mmap" or .found.driver == "raw_mmap")' \
	"$work"/reads/*.jsonl >/dev/null || fail "hot reads: the results"
jq -es 'map(select(.row | test(" direct "))) | all(.found.map == 0)' \
	"$work"/reads/*.jsonl >/dev/null || fail "direct reads: mapped"

none_runs()
{
	! pgrep -f -- "--filename=$work" >/dev/null
}

# Ended half-way it keeps what it has, and leaves no file behind.
rm "$work/err" # the same words of the run before
"$filch" --quick --only=read --peers= --seconds=60 --bin="$bin" \
	--directory="$work" --output="$work/cut" >"$work/out" 2>"$work/err" &
process=$!
eventually grep -q 'round 1 of 1: read' "$work/err"
kill -TERM "$process"
status=0
wait "$process" || status=$?
[ "$status" -eq 130 ] || fail "TERM: exit $status"
grep -q 'interrupted' "$work/err" || fail "TERM: no word of it"
[ -z "$(find "$work" -name 'bench.*')" ] || fail "TERM: a file is left"
eventually none_runs
