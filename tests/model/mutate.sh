#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Does each model notice when an order or a step is weakened?  Every line of
# the table below names a model, a file and a sed script that damages it; the
# model must then fail.  A damage that changes nothing, or that the model
# survives, is an error.
#
# usage: tests/model/mutate.sh [MODEL]        run from the root of the tree

set -u
root=$(pwd)
only=${1:-.}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# The compiler may be told more by CXXFLAGS.
flags="-std=c++17 -O1 -w -DFILCH_ATOMIC_RELACY ${CXXFLAGS:-}"
failed=0

mutations() {
	grep -v '^#' "$root/tests/model/mutations.txt" | grep -v '^$'
}

mutations | grep "^$only" >"$work/list"
while read -r model file script; do
	rm -rf "$work/tree"
	mkdir -p "$work/tree/tests"
	cp -r "$root/include" "$root/executor" "$root/reactor" "$work/tree/"
	cp -r "$root/tests/model" "$work/tree/tests/"
	sed -i -e "$script" "$work/tree/$file"
	if cmp -s "$root/$file" "$work/tree/$file"; then
		echo "stale:    $model $file $script"
		failed=1
		continue
	fi
	# shellcheck disable=SC2086
	if ! ${CXX:-g++} $flags -I"$work/tree/include" \
	    -include "$work/tree/tests/model/weak.hpp" \
	    "$work/tree/tests/model/$model.cpp" -o "$work/model" \
	    2>"$work/errors"; then
		echo "no build: $model $file $script"
		head -5 "$work/errors"
		failed=1
	elif timeout 120 "$work/model" >"$work/output" 2>&1; then
		echo "SURVIVED: $model $file $script"
		failed=1
	else
		echo "noticed:  $model $file $script"
	fi
done <"$work/list"
exit "$failed"
