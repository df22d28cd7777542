/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How an object is made from its extents: in one request, or in which parts. Pure. */
#ifndef S3B_PLAN_H
#define S3B_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/sched.h"

#define PLAN_PART_MIN_BYTES ((uint64_t)5 << 20) /* S3's limits: of every part but the last, */
#define PLAN_PART_MAX_BYTES ((uint64_t)5 << 30) /* of every part and of a PUT, */
#define PLAN_PARTS_MAX 10000u                   /* and of their number */
#define PLAN_PUT_BELOW_BYTES ((uint64_t)16 << 20) /* smaller objects are one PUT */
/* Larger objects are copied by the server in parts: CopyObject of much data takes minutes, and parts run in parallel. */
#define PLAN_COPY_OBJECT_MAX_BYTES ((uint64_t)256 << 20)
#define PLAN_COPY_PART_BYTES ((uint64_t)128 << 20)

enum plan_method {
	PLAN_PUT,       /* one PutObject */
	PLAN_COPY,      /* one CopyObject */
	PLAN_MULTIPART,
};

struct plan_part {
	uint64_t length_bytes;
	uint64_t relay_bytes; /* of them from other objects through this host */
	size_t extent;        /* where it begins: an index, and bytes behind that extent's start */
	uint64_t skip_bytes;
	bool server_copy;     /* UploadPartCopy */
};

struct plan {
	enum plan_method method;
	uint64_t size_bytes;
	uint64_t relay_bytes;    /* PUT */
	size_t uploaded;         /* PART extents at the front */
	uint64_t uploaded_bytes;
	uint32_t first_number;   /* of parts[0] */
	struct plan_part *parts; /* MULTIPART: what is still to be sent */
	size_t part_count;
};

/* What is known of the way to the destination. */
struct plan_link {
	double factor;            /* net_band_factor; 0: not known */
	double rtt_us;            /* 0: not known */
	double bytes_per_s;       /* of one connection; 0: not known */
	unsigned workers;         /* parts of the object in flight */
};

struct plan_options {
	const struct s3_bucket *bucket; /* the destination */
	bool server_copy;               /* the server may copy where both ends are one account */
	uint64_t part_size_bytes;       /* 0: by object size and link */
	bool single_stream;             /* one request as long as S3 takes one */
	struct plan_link link;
};

/* EXTENTS are coalesced and possible. S3_OK, or what is wrong with a sentence in ERR. */
enum s3_error plan_build(struct plan *p, const struct plan_options *o, const struct sched_extent *extents, size_t count,
			 char *err, size_t err_size);
void plan_clear(struct plan *p);

/* The part size for an object of SIZE bytes that suits LINK: long enough that the round trip does not show, short enough
 * that all workers have one. */
uint64_t plan_link_part_size(uint64_t size_bytes, const struct plan_link *link);
/* The size of the parts that an object of SIZE bytes was uploaded in, as far as its ETag tells: "...-N" is N parts, all but the last of
 * one size, which clients choose in whole MiB and mostly as a power of two. 0: not known. */
uint64_t plan_source_part_size(const char *etag, uint64_t size_bytes);
/* PART, or a size near it whose boundaries are boundaries of SOURCE_PART, too, at least LEAST: a read that crosses two stored parts is
 * slower (Amazon S3 User Guide, "Performance guidelines": byte-range fetches). */
uint64_t plan_align(uint64_t part_bytes, uint64_t source_part_bytes, uint64_t least_bytes);
/* The part size for SIZE bytes in at most PARTS parts. WANTED 0: by size. */
uint64_t plan_part_size(uint64_t size_bytes, uint64_t wanted_bytes, uint32_t parts_max);

#endif
