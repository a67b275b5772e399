/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: where a file holds data, so that holes stay holes.
 */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#if defined(SEEK_DATA) && defined(SEEK_HOLE)
/*
 * The first piece of data of fd at or after offset, or all that is left where
 * the file system cannot tell.  Returns 0; -ENXIO there is none; -errno.
 */
static int
segment_next(
    int fd, uint64_t offset, uint64_t size, struct copy_segment *ret_segment)
{
	off_t start = lseek(fd, (off_t)offset, SEEK_DATA);
	off_t end;

	if (start < 0 && errno == EINVAL) {
		*ret_segment =
		    (struct copy_segment){ .start = offset, .end = size };
		return (0);
	}
	end = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
	if (end < 0) {
		return (-errno);
	}
	ret_segment->start = (uint64_t)start;
	ret_segment->end = (uint64_t)end;
	return (0);
}
#else
static int
segment_next(
    int fd, uint64_t offset, uint64_t size, struct copy_segment *ret_segment)
{
	(void)fd;
	*ret_segment = (struct copy_segment){ .start = offset, .end = size };
	return (0);
}
#endif

/* Blocks start at whole pages: what O_DIRECT needs, and what files are made
 * of. */
static void
segment_align(struct copy_segment *segment, uint64_t size)
{
	uint64_t mask = COPY_ALIGNMENT - 1;

	segment->start &= ~mask;
	segment->end = (segment->end + mask) & ~mask;
	if (segment->end > size) {
		segment->end = size;
	}
}

/*
 * The next data of file.  To verify, data on either side counts: a hole must
 * not have got data in the copy.
 */
static int
data_next(const struct copy_file *file, struct copy_segment *ret_segment)
{
	struct copy_segment source = { .start = UINT64_MAX };
	struct copy_segment target = { .start = UINT64_MAX };
	int source_rc =
	    segment_next(file->source.fd, file->planned, file->size, &source);
	int target_rc = -ENXIO;

	if (file->is_verifying) {
		target_rc = segment_next(
		    file->target.fd, file->planned, file->size, &target);
	}
	if (source_rc != 0 && source_rc != -ENXIO) {
		return (source_rc);
	}
	if (target_rc != 0 && target_rc != -ENXIO) {
		return (target_rc);
	}
	*ret_segment = target.start < source.start ? target : source;
	return (source_rc == 0 ? 0 : target_rc);
}

int64_t
copy_holes_find(void *arg)
{
	struct copy_file *file = arg;

	file->operation = "seek";
	file->segment_count = 0;
	while (file->segment_count < COPY_SEGMENTS_MAX &&
	    file->planned < file->size) {
		struct copy_segment segment;
		int rc = data_next(file, &segment);

		/* What came after the size was read is no part of it. */
		if (rc == -ENXIO || (rc == 0 && segment.start >= file->size)) {
			file->planned = file->size;
			break;
		}
		if (rc != 0) {
			return (rc);
		}
		segment_align(&segment, file->size);
		file->planned = segment.end;
		file->segments[file->segment_count++] = segment;
	}
	return (0);
}
