/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two halves of wire_build share: wire_build.c fills a struct build, wire_compose.c signs and writes it out.
 * Private to s3/wire_*.c. */
#ifndef S3B_WIRE_BUILD_H
#define S3B_WIRE_BUILD_H

#include "s3/bucket.h"
#include "s3/sigv4.h"
#include "s3/wire.h"

#define BUILD_MAX_HEADERS 128 /* S3 itself stops at 8 KB of header fields */
#define BUILD_MAX_QUERY 8

/* Lives on the stack while one request is built. */
struct build {
	const struct s3_bucket *bucket;
	const char *method;
	const char *key; /* the path ends in it; NULL: the operation is the bucket's */
	bool has_content_type, has_body, has_segments;
	int error; /* the first thing that went wrong, 0: nothing */
	size_t query_count;
	size_t header_count;
	char *marker; /* owned: copied from the token, cut in two */
	struct strbuf copy_source;
	struct strbuf body;

	/* From here on nothing is cleared beforehand: 4 KiB of zeros would cost as much as a signature. */
	struct sigv4_query query[BUILD_MAX_QUERY];
	struct sigv4_header headers[BUILD_MAX_HEADERS];
	char number[16], max_keys[16], range[64], date[17], payload_hash[65], md5[32];
};

void build_fail(struct build *b, int error);
void build_add_header(struct build *b, const char *name, const char *value);

/* Signs and fills OUT. 0 or a negative errno; OUT may be filled in part. */
int build_compose(struct build *b, time_t now, struct wire_request *out);

#endif
