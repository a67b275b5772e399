#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# filch copy as a user sees it, through each driver.  Argument: the program.
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"
trap 'umount "$work/full" 2>/dev/null || :; rm -rf "$work"' EXIT

# told TEXT: a message says so.
told()
{
	grep -q -F -e "$1" "$work/err" || fail "not told: $1"
}

# no_temporaries DIRECTORY
no_temporaries()
{
	[ -z "$(find "$1" -name '.filch-*')" ] || fail "$1: temporary file left"
}

# What is kept of each entry: kind, mode, time, link.
listing()
{
	(cd "$1" && find . -printf '%p %y %m %T@ %l\n' | sort)
}

# same SOURCE TARGET: content, names, modes, times.
same()
{
	diff -r --no-dereference "$1" "$2" >out || fail "$1 and $2 differ"
	listing "$1" >listing.source
	listing "$2" >listing.target
	diff listing.source listing.target >out ||
		fail "$1 and $2 are not alike"
	no_temporaries "$2"
}

blocks()
{
	stat -c %b "$1"
}

# As somebody who may not do everything.
unprivileged()
{
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups \
			--bounding-set=-all "$@"
	else
		"$@"
	fi
}

make_tree()
{
	mkdir -p tree/one/two/three tree/empty
	for size in 0 1 4095 4096 4097 65536 262144 262145 5000001; do
		head -c $size /dev/urandom >"tree/one/$size"
	done
	for i in $(seq 100); do
		echo "$i" >"tree/one/two/small$i"
	done
	echo script >tree/one/two/script
	chmod 751 tree/one/two/script
	chmod 400 tree/one/1
	echo text >tree/one/two/three/text
	ln -s ../one/4097 tree/one/link
	ln -s nowhere tree/empty/dangling
	touch -d '2001-02-03 04:05:06.123456789' tree/one/4096
	touch -h -d '1965-04-03 02:01:00.5' tree/one/link
	chmod 1777 tree/empty
	chmod 555 tree/one/two/three
	touch -d '1999-01-01' tree/one/two
}

test_usage()
{
	echo text >text
	mkdir -p directory
	refused SOURCE copy
	refused TARGET copy text
	refused TARGET copy text ''
	refused --frob copy --frob text other
	refused --jobs copy --jobs=0 text other
	refused --iodepth copy --iodepth=x text other
	refused --bs copy --bs=5000 text other
	refused --bs copy --bs=64m --jobs=1024 text other
	refused --driver copy --driver=epoll text other
	refused --progress copy --progress=1 text other
	refused --verify copy --verify=1 text other
	refused --recursive copy directory other
	refused other copy text text other
	refused other/ copy text other/
	[ ! -e other ] || fail "other: made by a refused command"
	run 0 copy --help
	rm -r text directory
}

test_tree()
{
	run 0 copy -r tree copy
	[ ! -s err ] || fail "it said something"
	same tree copy
	rm -r copy
	run 0 copy -r --progress=always tree copy
	told "$(find tree ! -type d | wc -l) files, "
	for options in "--verify" "--fsync" "--direct --verify" \
		"--jobs=1 --iodepth=1 --bs=4k --workers=1" \
		"--jobs=64 --iodepth=16 --bs=4k --verify"; do
		rm -r copy
		# shellcheck disable=SC2086 # several words
		run 0 copy -r $options tree copy
		same tree copy
	done
	rm -r copy
}

# Few descriptors make it slower, not fail.
test_descriptors()
{
	prlimit --nofile=48 "$filch" copy -r --jobs=64 tree copy >out 2>err ||
		fail "it needs too many descriptors"
	same tree copy
	rm -r copy
}

test_names()
{
	mkdir into
	run 0 copy -r tree/one tree/one/4097 into
	same tree/one into/one
	cmp tree/one/4097 into/4097 || fail "into/4097"
	run 0 copy tree/one/4097 renamed
	cmp tree/one/4097 renamed || fail "renamed"
	run 0 copy tree/one/link into/
	[ "$(readlink into/link)" = ../one/4097 ] || fail "into/link"
	run 0 copy -r --overwrite tree/one/. into/one
	same tree/one into/one
	run 1 copy nowhere renamed into
	told 'filch: copy: nowhere: stat: No such file or directory'
	[ -f into/renamed ] || fail "into/renamed: not gone on with"
	run 0 copy /proc/version version
	cmp /proc/version version || fail "version"
	rm -rf into renamed version
}

test_sparse()
{
	truncate -s 64m sparse
	for offset in 0 1000 5000 9000 16383; do
		printf x | dd of=sparse bs=4096 seek=$offset conv=notrunc \
			status=none
	done
	truncate -s 8m hole
	for i in $(seq 1 150); do
		printf y | dd of=many bs=1 seek=$((i * 20000)) conv=notrunc \
			status=none
	done
	for file in sparse hole many; do
		run 0 copy --verify "$file" copy
		cmp "$file" copy || fail "$file: content"
		# a file system may need a block or two more
		[ "$(blocks copy)" -le $(($(blocks "$file") + 64)) ] ||
			fail "$file: $(blocks copy) blocks"
		rm copy
	done
	rm sparse hole many
}

test_existing()
{
	echo old >old
	echo new >new
	run 1 copy new old
	told 'filch: copy: old: exists'
	[ "$(cat old)" = old ] || fail "old: was replaced"
	run 0 copy --overwrite new old
	cmp new old || fail "old: was not replaced"
	ln -s old link
	run 1 copy new link
	run 0 copy --overwrite new link
	[ ! -L link ] || fail "link: was followed"
	ln new hard
	run 1 copy --overwrite new hard
	told 'new: source and target are the same file'
	run 1 copy --overwrite new new
	told 'new: source and target are the same file'
	mkdir -p directory into/new
	run 1 copy --overwrite new into
	told 'into/new: create: Is a directory'
	run 1 copy -r --overwrite directory old
	told 'old: mkdir: Not a directory'
	rm -rf old new link hard directory into
}

test_itself()
{
	mkdir -p outer/inner
	echo text >outer/text
	for target in outer outer/inner outer/inner/new outer/inner/..; do
		run 1 copy -r outer $target
		told 'itself'
	done
	run 1 copy -r outer .
	told 'same file'
	[ "$(find outer | wc -l)" -eq 3 ] || fail "outer: something was made"
	rm -r outer
}

test_special()
{
	mkdir special
	mkfifo special/fifo
	echo text >special/text
	run 1 copy -r special copy
	told 'special/fifo: special file'
	[ -f copy/text ] || fail "special: not gone on with"
	[ ! -e copy/fifo ] || fail "copy/fifo"
	rm -r special copy
}

test_resume()
{
	run 0 copy -r tree copy
	listing copy >before
	find copy -type f -printf '%i\n' | sort >inodes.before
	run 0 copy -r --resume tree/. copy
	find copy -type f -printf '%i\n' | sort >inodes.after
	cmp inodes.before inodes.after || fail "complete files were replaced"
	# What a killed run leaves: files missing, others half-written.
	rm -f copy/one/5000001 copy/one/link copy/one/two/small7
	run 0 copy -r --resume tree/. copy
	same tree copy
	# A file that only looks complete is found out by --verify.
	printf X | dd of=copy/one/5000001 bs=1 seek=3000000 conv=notrunc \
		status=none
	touch -r tree/one/5000001 copy/one/5000001
	run 0 copy -r --resume tree/. copy
	run 1 copy -r --resume --verify tree/. copy
	told 'copy/one/5000001: verify: differs from the source at byte 3000000'
	[ "$(wc -l <err)" -eq 1 ] || fail "more than one line"
	[ -f copy/one/5000001 ] || fail "what differs was removed"
	# One that differs is not replaced unless asked.
	echo more >>copy/one/4097
	run 1 copy -r --resume tree/. copy
	told 'copy/one/4097: exists'
	run 0 copy -r --resume --overwrite tree/. copy
	cmp tree/one/4097 copy/one/4097 || fail "copy/one/4097"
	rm -r copy
}

has_temporary()
{
	[ -n "$(find "$1" -name '.filch-*' 2>/dev/null)" ]
}

# stop_halfway SIGNAL STATUS: send it while "large" is copied to "stopped".
# A run that was faster proves nothing: it is done again.
stop_halfway()
{
	head -c 100000000 /dev/zero >large
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rm -rf stopped
		mkdir stopped
		"$filch" copy --jobs=1 --iodepth=1 --bs=4k --verify \
			large stopped >out 2>err &
		process=$!
		eventually has_temporary stopped
		kill -s "$1" "$process"
		if [ "$1" = STOP ]; then
			echo more >>large
			kill -s CONT "$process"
		fi
		status=0
		wait "$process" || status=$?
		[ $status -eq 0 ] || break
	done
	[ $status -eq "$2" ] || fail "SIG$1: exit $status, not $2"
}

test_interrupt()
{
	for signal in INT TERM; do
		stop_halfway $signal 130
		[ -z "$(ls -A stopped)" ] || fail "SIG$signal: something left"
	done
	rm -r large stopped
}

# A source that somebody writes to meanwhile has no copy.
test_changed()
{
	stop_halfway STOP 1
	told 'large: read: changed while it was copied'
	[ -z "$(ls -A stopped)" ] || fail "changed: something left"
	rm -r large stopped
	short=/sys/kernel/mm/transparent_hugepage/enabled
	if [ -r $short ] && [ "$(stat -c %s $short)" -eq 4096 ]; then
		run 1 copy $short short
		told "$short: read: ends at byte"
		[ ! -e short ] || fail "short: made all the same"
		no_temporaries .
	fi
}

# What a killed run left is taken over, unless somebody is still at it.
test_killed()
{
	stop_halfway KILL 137
	[ ! -e stopped/large ] || fail "killed: half-written"
	has_temporary stopped || fail "killed: no temporary file"
	status=0
	flock "$(find stopped -name '.filch-*')" \
		"$filch" copy large stopped >out 2>err || status=$?
	[ $status -eq 1 ] || fail "in use: exit $status"
	told 'stopped/large: create: Device or resource busy'
	has_temporary stopped || fail "another's temporary file was removed"
	run 0 copy --resume large stopped
	cmp large stopped/large || fail "stopped/large"
	no_temporaries stopped
	rm -r large stopped
}

test_denied()
{
	chmod 755 "$work"
	if ! unprivileged "$filch" info >/dev/null 2>&1; then
		echo "others cannot run the program: denials are not tested"
		return
	fi
	mkdir denied
	mkdir denied/in denied/out denied/in/closed
	echo one >denied/in/readable
	echo two >denied/in/secret
	echo three >denied/in/closed/text
	chmod 000 denied/in/secret denied/in/closed
	chmod 755 denied denied/in
	chmod 777 denied/out
	status=0
	unprivileged "$filch" copy -r denied/in denied/out >out 2>err ||
		status=$?
	[ $status -eq 1 ] || fail "denied: exit $status"
	told 'denied/in/secret: open: Permission denied'
	told 'denied/in/closed: open: Permission denied'
	cmp denied/in/readable denied/out/in/readable || fail "readable"
	[ ! -e denied/out/in/secret ] || fail "secret: made all the same"
	status=0
	chmod 555 denied/out
	unprivileged "$filch" copy denied/in/readable denied/out >out 2>err ||
		status=$?
	[ $status -eq 1 ] || fail "denied: exit $status"
	told 'denied/out/readable: create: Permission denied'
	chmod -R 700 denied
	rm -r denied
}

test_full()
{
	mkdir full
	if ! mount -t tmpfs -o size=1m filch-test full 2>/dev/null; then
		rmdir full
		echo "no tmpfs can be mounted: a full disk is not tested"
		return
	fi
	mkdir many
	head -c 3000000 /dev/urandom >many/large
	echo text >many/text
	run 1 copy --jobs=1 many/large many/text full
	told 'full/large: write: No space left on device'
	cmp many/text full/text || fail "many/text: not gone on with"
	[ ! -e full/large ] || fail "large: incomplete"
	no_temporaries full
	umount full
	rm -r full many
}

make_tree
for FILCH_DRIVER in $drivers; do
	export FILCH_DRIVER
	test_usage
	test_tree
	test_descriptors
	test_names
	test_sparse
	test_existing
	test_itself
	test_special
	test_resume
	test_interrupt
	test_changed
	test_killed
	test_denied
	test_full
done
