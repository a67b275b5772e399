/* SPDX-License-Identifier: BSD-2-Clause */
/* The sequence of operations, the clocks, and the report. */
#include <sys/resource.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "workload.h"

uint64_t
workload_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

uint64_t
workload_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* Best effort: a CPU outside the allowed set leaves the thread unpinned. */
void
workload_pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

void
workload_stream_init(struct workload_stream *s,
    const struct workload_options *o, const struct workload_file *f,
    unsigned worker, uint64_t now_ns)
{
	uint64_t n = o->workers;

	*s = (struct workload_stream){ .options = o,
		.random = (o->seed * n + worker + 1U) *
		    UINT64_C(0x9e3779b97f4a7c15),
		.blocks = f->size / o->bs,
		.deadline_ns = UINT64_MAX,
		.left = UINT64_MAX };
	s->next = s->blocks * worker / n;
	if (s->random == 0) {
		s->random = 1;
	}
	if (o->runtime != 0) {
		s->deadline_ns = now_ns + o->runtime * 1000000000U;
	}
	if (o->number_ios != 0) {
		s->left = o->number_ios / n + (worker < o->number_ios % n);
	}
}

/* xorshift64: never zero, cheap beside a system call. */
static uint64_t
draw(struct workload_stream *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

bool
workload_stream_next(struct workload_stream *s, uint64_t now_ns,
    struct workload_op *ret_op)
{
	const struct workload_options *o = s->options;
	uint64_t r;

	if (s->left == 0 || now_ns >= s->deadline_ns ||
	    workload_interrupted()) {
		return false;
	}
	s->left--;
	if (s->sync_due) {
		s->sync_due = false;
		ret_op->offset = 0;
		ret_op->kind = o->fsync != 0 && s->writes % o->fsync == 0 ?
		    WORKLOAD_OP_FSYNC :
		    WORKLOAD_OP_FDATASYNC;
		return true;
	}
	if (o->rw == WORKLOAD_READ || o->rw == WORKLOAD_WRITE) {
		r = 0;
		ret_op->offset = s->next * o->bs;
		s->next = s->next + 1 == s->blocks ? 0 : s->next + 1;
	} else {
		r = draw(s);
		/* The high bits pick the block, the lowest read or write. */
		ret_op->offset = ((r >> 1) % s->blocks) * o->bs;
	}
	ret_op->kind = WORKLOAD_OP_READ;
	if (o->rw == WORKLOAD_WRITE || o->rw == WORKLOAD_RANDWRITE ||
	    (o->rw == WORKLOAD_RANDRW && (r & 1U) != 0)) {
		ret_op->kind = WORKLOAD_OP_WRITE;
		s->writes++;
		s->sync_due = (o->fsync != 0 && s->writes % o->fsync == 0) ||
		    (o->fdatasync != 0 && s->writes % o->fdatasync == 0);
	}
	return true;
}

void
workload_result_merge(struct workload_result *into,
    const struct workload_result *from)
{
	into->ops += from->ops;
	into->bytes += from->bytes;
	into->errors += from->errors;
	histogram_merge(&into->lat, &from->lat);
}

/* A JSON string; bytes below a blank are escaped. */
static void
print_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\') {
			fprintf(out, "\\%c", *text);
		} else if ((unsigned char)*text < 0x20) {
			fprintf(out, "\\u%04x", (unsigned)*text);
		} else {
			fputc(*text, out);
		}
	}
	fputc('"', out);
}

static void
print_options(FILE *out, const struct workload_options *o)
{
	fprintf(out, "\"options\":{\"rw\":\"%s\",\"bs\":%ju,\"iodepth\":%u,"
	    "\"size\":%ju,\"runtime\":%ju,\"number_ios\":%ju,\"direct\":%d,"
	    "\"fsync\":%ju,\"fdatasync\":%ju,\"workers\":%u,\"driver\":\"%s\","
	    "\"batch\":%ju,\"verify\":%d,\"seed\":%ju,\"pin\":%d,\"lock\":%d,"
	    "\"lat\":%d,\"overwrite\":%d,\"filename\":",
	    workload_rw_name(o->rw), (uintmax_t)o->bs, o->iodepth,
	    (uintmax_t)o->size, (uintmax_t)o->runtime, (uintmax_t)o->number_ios,
	    o->direct, (uintmax_t)o->fsync, (uintmax_t)o->fdatasync, o->workers,
	    o->driver, (uintmax_t)o->batch, o->verify, (uintmax_t)o->seed,
	    o->pin, o->lock, o->lat, o->overwrite);
	if (o->filename == NULL) {
		fputs("null", out);
	} else {
		print_string(out, o->filename);
	}
	fputs("}", out);
}

void
workload_report(FILE *out, const struct workload_options *o,
    const char *driver, const struct workload_result *r)
{
	double seconds = r->elapsed_ns == 0 ? 1.0 : (double)r->elapsed_ns / 1e9;
	double iops = (double)r->ops / seconds;
	double rate = (double)r->bytes / seconds;
	double cpu = r->ops == 0 ? 0.0 : (double)r->cpu_ns / (double)r->ops;
	uintmax_t p50 = histogram_permille(&r->lat, 500);
	uintmax_t p99 = histogram_permille(&r->lat, 990);
	uintmax_t p999 = histogram_permille(&r->lat, 999);

	if (!o->json) {
		fprintf(out, "%-10s %-9s %5s %4s %10s %8s %8s %9s %9s %9s %s\n"
		    "%-10s %-9s %5ju %4u %10.0f %8.1f %8.0f %9.1f %9.1f %9.1f "
		    "%ju\n", "driver", "rw", "bs", "qd", "iops", "MiB/s",
		    "cpu ns", "p50 us", "p99 us", "p99.9 us", "errors", driver,
		    workload_rw_name(o->rw), (uintmax_t)o->bs, o->iodepth, iops,
		    rate / 1048576.0, cpu, (double)p50 / 1e3,
		    (double)p99 / 1e3, (double)p999 / 1e3,
		    (uintmax_t)r->errors);
		return;
	}
	fprintf(out, "{\"program\":\"%s\",\"driver\":\"%s\",\"iops\":%.1f,"
	    "\"bytes_per_s\":%.1f,\"lat_ns\":{\"p50\":%ju,\"p99\":%ju,"
	    "\"p999\":%ju,\"max\":%ju},\"cpu_ns_per_op\":%.1f,\"errors\":%ju,",
	    o->program, driver, iops, rate, p50, p99, p999,
	    (uintmax_t)r->lat.max, cpu, (uintmax_t)r->errors);
	print_options(out, o);
	fputs("}\n", out);
}
