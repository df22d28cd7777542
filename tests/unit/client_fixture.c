/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fixture of the client's tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/client_fixture.h"

void fixture_start(struct fixture *f, struct stub_rule *rules, unsigned threads)
{
	struct s3_client_options options = {.threads = threads};
	struct s3_bucket_config config = {.name = "stub", .bucket = "bucket", .path_style = 1};
	char endpoint[64], err[256];

	*f = (struct fixture){0};
	f->server = stub_server_start(rules);
	snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", stub_server_port(f->server));
	config.endpoint = endpoint;
	config.access_key_id = "AKIAEXAMPLE";
	config.secret_access_key = "secret";
	f->bucket = s3_bucket_new(&config, err, sizeof(err));
	if (!f->bucket)
		fail_msg("%s", err);
	f->client = s3_client_new(&options, err, sizeof(err));
	if (!f->client)
		fail_msg("%s", err);
}

void fixture_stop(struct fixture *f)
{
	f->client->ops->destroy(f->client);
	stub_server_stop(f->server);
	s3_bucket_free(f->bucket);
}

static void take(void *arg, const void *data, size_t len)
{
	struct sink *s = arg;
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		if (p[i] != stub_byte(s->offset + s->received + i))
			s->is_wrong = true;
	if (len == 0 || len > 16384)
		s->is_wrong = true;
	s->received += len;
}

struct s3_request *fixture_get(struct fixture *f, const char *key, uint64_t offset, uint64_t length, struct sink *sink)
{
	struct s3_request *r = s3_request_new(S3_OP_GET, f->bucket, key);

	assert_non_null(r);
	*sink = (struct sink){.offset = offset};
	r->offset_bytes = offset;
	r->length_bytes = length;
	r->on_data = take;
	r->on_data_arg = sink;
	return r;
}

struct s3_request *fixture_put(struct fixture *f, const char *key, const struct s3_segment *segments, size_t count)
{
	struct s3_request *r = s3_request_new(S3_OP_PUT, f->bucket, key);

	assert_non_null(r);
	r->segments = calloc(count ? count : 1, sizeof(*segments));
	assert_non_null(r->segments);
	if (count)
		memcpy(r->segments, segments, count * sizeof(*segments));
	r->segment_count = count;
	return r;
}

struct s3_segment segment_memory(const void *bytes, uint64_t length)
{
	return (struct s3_segment){.kind = S3_SEGMENT_MEMORY, .length_bytes = length, .memory = bytes};
}

struct s3_segment segment_zero(uint64_t length)
{
	return (struct s3_segment){.kind = S3_SEGMENT_ZERO, .length_bytes = length};
}

struct s3_segment segment_object(const struct fixture *f, const char *key, uint64_t offset, uint64_t length)
{
	return (struct s3_segment){
		.kind = S3_SEGMENT_OBJECT,
		.length_bytes = length,
		.src_bucket = f->bucket,
		.src_key = key,
		.src_etag = "\"tag\"",
		.src_offset_bytes = offset,
	};
}

struct s3_request *fixture_wait(struct fixture *f)
{
	struct s3_request *done = NULL;
	int64_t until = f->client->ops->now_ms(f->client) + 20000;

	while (f->client->ops->now_ms(f->client) < until)
		if (f->client->ops->poll(f->client, &done, 1, 1000) == 1)
			return done;
	fail_msg("no request came back within 20 s");
	return NULL;
}

void fixture_run(struct fixture *f, struct s3_request *r)
{
	f->client->ops->submit(f->client, r);
	assert_ptr_equal(fixture_wait(f), r);
	assert_null(r->next);
	assert_null(r->backend_private);
	assert_true((r->result.error == S3_OK) == (r->result.message[0] == '\0'));
	assert_true(r->result.started_us > 0 && r->result.finished_us >= r->result.started_us);
}

bool upload_is_object(const struct stub_upload *u, uint64_t at, uint64_t offset, uint64_t length)
{
	if (!u || u->completed == 0 || u->received_bytes < at + length)
		return false;
	for (uint64_t i = 0; i < length; i++)
		if (u->body[at + i] != stub_byte(offset + i))
			return false;
	return true;
}
