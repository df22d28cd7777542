/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between a struct s3_request and HTTP: what to send for it, and what the answer means. No I/O here, so that every
 * operation can be tested as text. */
#ifndef S3B_WIRE_H
#define S3B_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "s3/s3.h"

/* One HTTP request, ready to send and signed. Owned by the caller; wire_request_clear frees. */
struct wire_request {
	const char *method;  /* "GET", "HEAD", "PUT", "POST", "DELETE" */
	char *url;
	char **headers;      /* "name: value" lines, NULL-terminated; includes x-amz-date, authorization, range, ... and
	                        "Expect:" (empty: FACTS say 100-continue stalls). Not Content-Length: libcurl sends it */
	size_t header_count;
	char *body;          /* XML of COMPLETE, DELETE_MANY, ...; NULL: none, or the segments */
	size_t body_bytes;
	bool has_segments;   /* the body is the request's segments, s3_request_body_bytes() long */
};

/* 0, -ENOMEM, or -EINVAL for a request that lacks what its operation needs. */
int wire_build(const struct s3_request *r, time_t now, struct wire_request *out);
/* The ranged GET of one OBJECT segment. Its strings are the segment's: it is never freed. */
struct s3_request wire_segment_request(const struct s3_segment *seg);
/* The same, built. -EINVAL for an empty segment: no range asks for nothing. */
int wire_build_segment_get(const struct s3_segment *seg, time_t now, struct wire_request *out);
void wire_request_clear(struct wire_request *w);

/* Answers. A parser collects header lines and, unless the answer is an object's bytes, the body (at most
 * WIRE_BODY_MAX_BYTES; more is S3_ERR_PROTOCOL). */
#define WIRE_BODY_MAX_BYTES ((size_t)16 << 20)
#define WIRE_ERROR_MAX_BYTES ((size_t)64 << 10)

/* One header line as libcurl gives it, with or without CRLF. A new status line forgets what came before. Fills etag,
 * size_bytes, last_modified, headers, retry_after_ms, bucket_region of RESULT. At most 256 lines, 64 KiB: false beyond. */
bool wire_header_line(struct s3_result *result, const char *line, size_t len);

/* Is a body with this status the object's bytes (GET with 200/206) rather than XML to collect? */
bool wire_body_is_data(const struct s3_request *r, int http_status);

/* The answer is whole: parses BODY into R->result (entries, upload id, parts, etag, errors inside a 200), and sets error, code,
 * message. HTTP_STATUS as received. Checks what was promised: 206 with the range that was asked for. */
void wire_finish(struct s3_request *r, int http_status, const char *body, size_t body_bytes);

/* The attempt ended without a whole answer: CURL_CODE is a CURLcode, DETAIL libcurl's text (may be ""). */
void wire_fail(struct s3_request *r, int curl_code, const char *detail);

#endif
