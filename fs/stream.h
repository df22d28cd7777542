/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading one version of an object: ranged GETs in parallel, ahead of a sequential reader, within the read share of the
 * memory limit. One stream per open file (and per source object of a recipe that is read). Any thread; a lock of its own.
 *
 * The answer goes to a callback: at once, on the calling thread, when the bytes are there; else on a transfer or the scheduler
 * thread when they have come. */
#ifndef S3B_FS_STREAM_H
#define S3B_FS_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "sched/sched.h"

struct stream;

/* ERR 0: the COUNT vectors hold the bytes (valid during the call only); else a positive errno. */
typedef void (*stream_read_fn)(void *arg, int err, const struct iovec *iov, int count);

struct stream_config {
	uint64_t readahead_max_bytes; /* the window grows to this while reading is sequential */
};

/* A reference to SOURCE is taken. NULL: out of memory. */
struct stream *stream_new(struct sched *s, struct sched_source *source, const struct stream_config *config);

/* [OFFSET, OFFSET+LENGTH) of the object, clipped to its size; LENGTH at most 1 MiB. READ_ID gets an id for stream_interrupt, 0 when
 * it was answered during the call. */
void stream_read(struct stream *st, uint64_t offset, size_t length, stream_read_fn fn, void *arg, uint64_t *read_id);

/* Answers the waiting read with EINTR, if it still waits. */
void stream_interrupt(struct stream *st, uint64_t read_id);

/* Stops reading ahead and drops the caller's hold; what is in flight is cancelled. No read may be waiting. */
void stream_close(struct stream *st);

#endif
