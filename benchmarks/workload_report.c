/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a run was like, as a line for people or an object for programs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "workload.h"

static const char *const rw_names[] = { "randread", "randwrite", "read",
	"write", "randrw" };

static const char *const kind_names[] = { "read", "write", "fsync",
	"fdatasync" };

/* What both forms show. */
struct figures {
	double seconds;
	double iops;
	double bytes_per_s;
	double cpu_ns;
	uint64_t p50;
	uint64_t p99;
	uint64_t p999;
};

static void
report_json(const struct workload *w, const struct workload_stats *sum,
    const struct figures *f, const struct workload_outcome *outcome)
{
	printf("{%s%s", outcome->who == NULL ? "" : outcome->who,
	    outcome->who == NULL ? "" : ",");
	printf("\"driver\":\"%s\",\"rw\":\"%s\",\"bs\":%" PRIu64
	       ",\"iodepth\":%u,\"batch\":%u,\"workers\":%u,\"size\":%" PRIu64
	       ",\"runtime\":%.6g,\"number_ios\":%" PRIu64 ",\"filename\":",
	    outcome->driver, rw_names[w->rw], w->block_size, w->iodepth,
	    w->batch, w->workers, w->size, (double)w->runtime_ns / 1e9,
	    w->number_ios);
	if (w->filename == w->temporary) {
		printf("null");
	} else {
		json_print_string(w->filename);
	}
	printf(",\"overwrite\":%d,\"direct\":%d,\"lock\":%d,\"map\":%d"
	       ",\"fsync\":%u,\"fdatasync\":%u,\"shared_sync\":%d,\"verify\":%d"
	       ",\"seed\":%" PRIu64
	       ",\"pin\":%d,\"lat\":%d,\"rwmixread\":%u,\"stuck\":%.6g"
	       ",\"stuck_every\":%.6g,\"stuck_turns\":%" PRIu64
	       ",\"rate\":%" PRIu64 ",",
	    w->overwrite, w->direct, w->lock, w->map, w->fsync_every,
	    w->fdatasync_every, w->shared_sync, w->verify, w->seed, w->pin,
	    w->latency, w->read_percent, (double)w->stuck_ns / 1e9,
	    (double)w->stuck_every_ns / 1e9, outcome->stuck_turns, w->rate);
	printf("\"iops\":%.0f,\"bytes_per_s\":%.0f,\"lat_ns\":{\"p50\":%" PRIu64
	       ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64
	       "},\"cpu_ns_per_op\":%.0f,\"operations\":%" PRIu64
	       ",\"syncs\":%" PRIu64 ",\"errors\":%" PRIu64
	       ",\"mismatches\":%" PRIu64 ",\"seconds\":%.3f}\n",
	    f->iops, f->bytes_per_s, f->p50, f->p99, f->p999, sum->latency.max,
	    f->cpu_ns, sum->operations, sum->syncs, sum->errors,
	    sum->mismatches, f->seconds);
}

static void
report_table(const struct workload *w, const struct workload_stats *sum,
    const struct figures *f, const char *driver)
{
	printf("%-10s %-9s bs %" PRIu64 " qd %u x %u: %.0f IOPS, %.1f MiB/s, "
	       "cpu %.0f ns/op, errors %" PRIu64 "\n",
	    driver, rw_names[w->rw], w->block_size, w->iodepth, w->workers,
	    f->iops, f->bytes_per_s / 1048576, f->cpu_ns, sum->errors);
	if (w->latency) {
		printf("%-10s latency us%s: p50 %.1f, p99 %.1f, p99.9 %.1f, "
		       "max %.1f\n",
		    "", w->rate == 0 ? "" : " from when due",
		    (double)f->p50 / 1e3, (double)f->p99 / 1e3,
		    (double)f->p999 / 1e3, (double)sum->latency.max / 1e3);
	}
}

static void
report_error(const struct workload *w, const struct workload_stats *sum)
{
	fflush(stdout);
	fprintf(stderr, "%s: %s: %s at %" PRIu64 ": ", w->program, w->filename,
	    kind_names[sum->error_kind], sum->error_offset);
	if (sum->error_result < 0) {
		fprintf(stderr, "%s\n", strerror((int)-sum->error_result));
	} else if ((uint64_t)sum->error_result == w->block_size) {
		fprintf(stderr,
		    "content differs from what --seed=%" PRIu64 " wrote\n",
		    w->seed);
	} else {
		fprintf(stderr, "%" PRId64 " bytes of %" PRIu64 "\n",
		    sum->error_result, w->block_size);
	}
}

void
workload_report(const struct workload *workload,
    const struct workload_stats *sum, const struct workload_outcome *outcome)
{
	const struct histogram *h = &sum->latency;
	double seconds = (double)outcome->elapsed_ns / 1e9;
	double count = (double)(sum->operations == 0 ? 1 : sum->operations);
	struct figures figures = {
		.seconds = seconds,
		.iops = (double)sum->operations / seconds,
		.bytes_per_s = (double)sum->bytes / seconds,
		.cpu_ns = (double)outcome->cpu_ns / count,
		.p50 = histogram_percentile(h, 0.5),
		.p99 = histogram_percentile(h, 0.99),
		.p999 = histogram_percentile(h, 0.999),
	};

	if (workload->json) {
		report_json(workload, sum, &figures, outcome);
	} else {
		report_table(workload, sum, &figures, outcome->driver);
	}
	if (sum->errors != 0) {
		report_error(workload, sum);
	}
}
