/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sentence in s3_result.message. Private to s3/wire_*.c. */
#ifndef S3B_WIRE_MESSAGE_H
#define S3B_WIRE_MESSAGE_H

#include "s3/s3.h"

/* Describes R->result.error: which bucket, operation and key, what happened, what to do. SAID is what the other side or
 * libcurl said about it, ADVICE replaces the class's own; both may be NULL. KEY is the key it is about, usually R->key.
 * Everything that comes from outside is escaped and cut to fit. */
void wire_message(struct s3_request *r, const char *key, const char *said, const char *advice);

/* Copies S into OUT, at most OUT_SIZE - 1 bytes: control characters and bytes that are not UTF-8 become \xNN. What is
 * too long ends in "...". Returns the length. */
size_t wire_escape(char *out, size_t out_size, const char *s);

#endif
