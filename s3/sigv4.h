/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AWS Signature Version 4 in an Authorization header, service "s3".
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 *
 * A signer keeps the derived signing key of the current day and region, because deriving it (four HMACs) costs more than
 * the signature itself. Any thread. Secrets are wiped when the signer is freed. */
#ifndef S3B_SIGV4_H
#define S3B_SIGV4_H

#include <stddef.h>
#include <time.h>

#include "s3/base/strbuf.h"

#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
#define SIGV4_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct sigv4_signer;

/* Strings are copied. REGION as in the credential scope; SERVICE is "s3" except in tests. NULL: out of memory. */
struct sigv4_signer *sigv4_signer_new(const char *access_key_id, const char *secret_access_key, const char *region,
				      const char *service);
void sigv4_signer_free(struct sigv4_signer *s);
const char *sigv4_signer_access_key_id(const struct sigv4_signer *s);

struct sigv4_header {
	const char *name;  /* lower case */
	const char *value; /* as sent; runs of spaces are folded here */
};

struct sigv4_query {
	const char *name;  /* not encoded */
	const char *value; /* not encoded; NULL or "" for a flag such as ?uploads */
};

struct sigv4_input {
	const char *method;
	const char *canonical_uri;           /* already percent-encoded once, as S3 wants it: the path that is sent */
	const struct sigv4_query *query;     /* any order; sorted here */
	size_t query_count;
	const struct sigv4_header *headers;  /* all that are signed, with host, x-amz-date and x-amz-content-sha256; any order */
	size_t header_count;
	const char *payload_hash;            /* hex SHA-256, or SIGV4_UNSIGNED_PAYLOAD */
	time_t now;
};

/* "20130524T000000Z" */
void sigv4_date(time_t now, char out[17]);

/* Appends the value of the Authorization header to OUT. 0, or -ENOMEM / -EIO when OpenSSL fails. */
int sigv4_authorize(struct sigv4_signer *s, const struct sigv4_input *in, struct strbuf *out);

/* For tests: the canonical request and the string to sign. */
int sigv4_canonical_request(const struct sigv4_input *in, struct strbuf *out, struct strbuf *signed_headers);

/* Hex SHA-256 of DATA. */
void sigv4_sha256_hex(const void *data, size_t len, char out[65]);

#endif
