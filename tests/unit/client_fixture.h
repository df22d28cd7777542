/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of the real client share: a client, a stub server, a bucket on it, and a sink that checks bytes. */
#ifndef S3B_TESTS_CLIENT_FIXTURE_H
#define S3B_TESTS_CLIENT_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3/s3.h"
#include "tests/unit/stub_server.h"

struct fixture {
	struct s3_backend *client;
	struct stub_server *server;
	struct s3_bucket *bucket;
};

/* Threads: of the client. RULES as for stub_server_start. */
void fixture_start(struct fixture *f, struct stub_rule *rules, unsigned threads);
void fixture_stop(struct fixture *f);

/* on_data: the bytes of an object from OFFSET on. */
struct sink {
	uint64_t offset;
	uint64_t received;
	bool is_wrong;
};
struct s3_request *fixture_get(struct fixture *f, const char *key, uint64_t offset, uint64_t length, struct sink *sink);
struct s3_request *fixture_put(struct fixture *f, const char *key, const struct s3_segment *segments, size_t count);

struct s3_segment segment_memory(const void *bytes, uint64_t length);
struct s3_segment segment_zero(uint64_t length);
struct s3_segment segment_object(const struct fixture *f, const char *key, uint64_t offset, uint64_t length);

/* Submits R and waits until it is back; the test fails if that takes longer than 20 s. */
void fixture_run(struct fixture *f, struct s3_request *r);
/* Waits for one request that is in flight. */
struct s3_request *fixture_wait(struct fixture *f);

/* Was this upload opened, and did all of its body come? */
bool upload_is_object(const struct stub_upload *u, uint64_t at, uint64_t offset, uint64_t length);

#endif
