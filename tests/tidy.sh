#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# House rules that no compiler knows.  tests/tidy.sh checks them all and that
# docs/memory-order.md is current; tests/tidy.sh --write makes that file.
set -euo pipefail

cd "$(dirname "$0")/.."
mapfile -t files < <(git ls-files -co --exclude-standard -- '*.c' '*.h' \
	'*.cpp' '*.sh' '*CMakeLists.txt' 'scripts/*' .ci/run)
exec perl -w - "${1-}" "${files[@]}" <<'PERL'
use strict;
my $write = shift(@ARGV) eq '--write';
my $failures = 0;
# Files over 600 lines, with the reason.
my %long = (
	'reactor/driver_posix.c' => 'one driver, one file: the port in full',
);
my %rank = (executor => 4, aio => 3, reactor => 2, include => 1);
my (%places, %lines_of);

sub complain { print "@_\n"; $failures++; }

sub check_include {
	my ($file, $n, $quote, $what, $layer) = @_;
	my $where = "$file:$n";
	complain("$where: <liburing.h> belongs to reactor/uring.h")
		if $what eq 'liburing.h' && $file !~ m{^(reactor/uring\.h|benchmarks/|tests/)};
	complain("$where: <$what> belongs to reactor/kqueue.h")
		if $quote eq '<' && $what =~ m{^(aio\.h|sys/event\.h)$} && $file !~ m{^reactor/kqueue\.h$|^tests/|^examples/};
	complain("$where: <$what> belongs to atomic.h and the wrappers of ck")
		if $what =~ /^ck_/ && $file !~ m{^(include/private/(atomic|plain)\.h|executor/(deque|injector)\.[ch])$};
	return if !defined $rank{$layer} || $what !~ m{^(?:\.\./)+(\w+)/};
	complain("$where: $layer must not include $1")
		if defined $rank{$1} && $rank{$1} > $rank{$layer};
}

sub check_atomics {
	my ($file, $lines) = @_;
	for my $i (0 .. $#$lines) {
		my $line = $lines->[$i];
		next if $line !~ /\bfilch__(?:u32|u64|ptr|fence)\w*_(acquire|release|acq_rel|seq_cst)\s*\(/;
		my $order = $1;
		my $from = $i < 3 ? 0 : $i - 3;
		my $near = join("\n", @$lines[$from .. $i]);
		my @tags = $near =~ /\[([A-Z]+\d+)\]/g;
		complain("$file:" . ($i + 1) . ": $order without a tag") if !@tags;
		push(@{ $places{$_} }, "$file:" . ($i + 1) . " ($order)") for @tags;
	}
}

for my $file (@ARGV) {
	open(my $in, '<', $file) or next;
	chomp(my @lines = <$in>);
	close($in);
	my ($layer) = $file =~ m{^(\w+)/};
	$layer = '' if !defined $layer;
	complain("$file: no SPDX line")
		if !grep { /SPDX-License-Identifier: BSD-2-Clause/ } @lines[0 .. ($#lines < 1 ? $#lines : 1)];
	complain("$file: over 600 lines") if @lines > 600 && !$long{$file};
	my $start = 0;
	for my $i (0 .. $#lines) {
		my ($n, $line) = ($i + 1, $lines[$i]);
		complain("$file:$n: unfinished") if $line =~ /\b(TODO|FIXME|XXX)\b/ && $file ne 'tests/tidy.sh';
		next if $file !~ /\.(c|h|cpp)$/;
		(my $spread = $line) =~ s/^(\t+)/' ' x (8 * length($1))/e;
		complain("$file:$n: over 80 columns") if length($spread) > 80 && $file =~ /\.[ch]$/;
		check_include($file, $n, $1, $2, $layer) if $line =~ /^#\s*include\s+([<"])([^>"]+)/;
		complain("$file:$n: system named outside compiler.h")
			if $line =~ /^#.*\b__(linux__|FreeBSD__)\b/ && $file ne 'include/private/compiler.h';
		$start = $n if $line eq '{';
		if ($line eq '}' && $start) {
			complain("$file:$start: function of " . ($n - $start + 1) . " lines")
				if $n - $start + 1 > 70;
			$start = 0;
		}
	}
	check_atomics($file, \@lines)
		if $file =~ m{^(executor|aio|reactor|include)/} && $file ne 'include/private/atomic.h';
}

# A page that names a file, or a header that names its tests, names one that
# exists.
for my $header (grep { /\.h$/ } @ARGV) {
	open(my $in, '<', $header) or next;
	while (my $line = <$in>) {
		next if $line !~ /^ \*/;
		while ($line =~ m{\b((?:unit|stress|model|contract|fault)/\w+\.(?:cpp|c))\b}g) {
			complain("$header:$.: tests/$1 does not exist") if !-e "tests/$1";
		}
	}
	close($in);
}
for my $page (split(/\n/, `git ls-files -co --exclude-standard -- '*.md'`)) {
	my ($folder) = $page =~ m{^(.*/)?};
	open(my $in, '<', $page) or next;
	while (my $line = <$in>) {
		while ($line =~ m{`([\w./-]+/[\w.-]+\.(?:c|h|cpp|sh|md))`}g) {
			my $path = $1;
			complain("$page:$.: $path does not exist")
				if !grep { -e "$_$path" } ('', $folder // '', 'include/');
		}
	}
	close($in);
}

my $text = "# Memory orders\n\nMade by `tests/tidy.sh --write`: each ordering that the code relies on, by\nthe tag in its comment, and where its sides are.\n";
for my $tag (sort keys %places) {
	complain("[$tag] has one side only: $places{$tag}[0]") if @{ $places{$tag} } < 2;
	$text .= "\n## $tag\n\n" . join('', map { s/:\d+ / /r =~ s/^/- /r . "\n" } @{ $places{$tag} });
}
my $path = 'docs/memory-order.md';
if ($write) {
	mkdir('docs');
	open(my $out, '>', $path) or die("$path: $!\n");
	print $out $text;
	close($out);
} else {
	my $old = '';
	if (open(my $in, '<', $path)) { local $/; $old = <$in>; close($in); }
	complain("$path is not current: tests/tidy.sh --write") if $old ne $text;
}
print "tidy: $failures complaints\n" if $failures;
exit($failures ? 1 : 0);
PERL
