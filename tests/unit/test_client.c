/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real client against a server that misbehaves: everything but relays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "s3/base/clock.h"
#include "tests/unit/client_fixture.h"

#define MIB ((uint64_t)1 << 20)
#define END {.method = NULL}

static void get_delivers_exactly_the_bytes_that_were_asked_for(void **state)
{
	struct stub_rule rules[] = {
		{.method = "GET", .key = "empty"},
		{.method = "GET", .key = "small", .size_bytes = 5},
		{.method = "GET", .key = "large", .size_bytes = 3 * MIB + 7},
		{.method = "GET", .key = "chunked", .size_bytes = MIB, .fault = STUB_CHUNKED},
		END,
	};
	static const struct {
		const char *key;
		uint64_t offset, length, expected;
	} cases[] = {
		{"empty", 0, 0, 0},       {"small", 0, 0, 5},          {"small", 1, 2, 2},
		{"small", 4, 100, 1},     {"large", 0, 0, 3 * MIB + 7}, {"large", 0, 16384, 16384},
		{"large", MIB, MIB, MIB}, {"large", 3 * MIB, 0, 7},    {"chunked", 0, 0, MIB},
		{"chunked", 5, 70000, 70000},
	};
	struct fixture f;

	fixture_start(&f, rules, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sink sink;
		struct s3_request *r = fixture_get(&f, cases[i].key, cases[i].offset, cases[i].length, &sink);

		fixture_run(&f, r);
		assert_int_equal(r->result.error, S3_OK);
		assert_int_equal(sink.received, cases[i].expected);
		assert_false(sink.is_wrong);
		assert_int_equal(r->delivered_bytes, cases[i].expected);
		assert_int_equal(r->result.received_bytes, cases[i].expected);
		assert_string_equal(r->result.etag, "\"tag\"");
		s3_request_free(r);
	}
	fixture_stop(&f);
}

static void bad_answers_to_a_get_have_their_class(void **state)
{
	static const struct {
		struct stub_rule rule;
		uint64_t offset, length;
		enum s3_error error;
		bool may_deliver;
	} cases[] = {
		{{.fault = STUB_STATUS, .status = 404}, 0, 0, S3_ERR_NOT_FOUND, false},
		{{.fault = STUB_STATUS, .status = 412}, 0, 0, S3_ERR_PRECONDITION, false},
		{{.fault = STUB_STATUS,
		  .status = 403,
		  .body = "<Error><Code>SignatureDoesNotMatch</Code></Error>"},
		 0, 0, S3_ERR_CREDENTIALS, false},
		{{.fault = STUB_STATUS, .status = 307, .header = "Location: http://127.0.0.1:1/\r\n"},
		 0, 0, S3_ERR_REGION, false},
		{{.fault = STUB_STATUS_CUT, .status = 503}, 0, 0, S3_ERR_THROTTLED, false},
		{{.fault = STUB_STATUS, .status = 500}, 0, 0, S3_ERR_SERVER, false},
		{{.fault = STUB_RESET}, 0, 0, S3_ERR_NETWORK, false},
		{{.fault = STUB_RESET_IN_BODY}, 0, 0, S3_ERR_NETWORK, true},
		{{.fault = STUB_CLOSE_IN_BODY}, 0, 0, S3_ERR_NETWORK, true},
		{{.fault = STUB_OTHER_RANGE}, 10, 1000, S3_ERR_PROTOCOL, false},
		{{.fault = STUB_LONGER}, 10, 1000, S3_ERR_PROTOCOL, false},
		{{.fault = STUB_LONGER_CHUNKED}, 10, 1000, S3_ERR_PROTOCOL, true},
		{{.fault = STUB_SHORTER}, 10, 1000, S3_ERR_PROTOCOL, false},
		{{.fault = STUB_IGNORES_RANGE}, 10, 1000, S3_ERR_PROTOCOL, false},
		{{.fault = STUB_NOT_HTTP}, 0, 0, S3_ERR_PROTOCOL, false},
		{{.fault = STUB_LONG_HEADER}, 0, 0, S3_ERR_PROTOCOL, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stub_rule rules[] = {cases[i].rule, END};
		struct fixture f;
		struct sink sink;
		struct s3_request *r;

		rules[0].method = "GET";
		rules[0].key = "object";
		rules[0].size_bytes = MIB;
		fixture_start(&f, rules, 1);
		r = fixture_get(&f, "object", cases[i].offset, cases[i].length, &sink);
		fixture_run(&f, r);
		if (r->result.error != cases[i].error)
			fail_msg("case %zu: %s", i, r->result.message);
		assert_false(sink.is_wrong);
		assert_int_equal(r->delivered_bytes, sink.received);
		if (!cases[i].may_deliver)
			assert_int_equal(sink.received, 0);
		s3_request_free(r);
		fixture_stop(&f);
	}
}

static void slow_down_says_when_to_come_back(void **state)
{
	struct stub_rule rules[] = {
		{.method = "GET",
		 .key = "object",
		 .fault = STUB_STATUS,
		 .status = 503,
		 .header = "Retry-After: 7\r\n",
		 .body = "<Error><Code>SlowDown</Code><Message>less</Message></Error>"},
		END,
	};
	struct fixture f;
	struct sink sink;
	struct s3_request *r;

	fixture_start(&f, rules, 1);
	r = fixture_get(&f, "object", 0, 0, &sink);
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_ERR_THROTTLED);
	assert_int_equal(r->result.retry_after_ms, 7000);
	assert_int_equal(r->result.http_status, 503);
	assert_string_equal(r->result.code, "SlowDown");
	assert_int_equal(sink.received, 0);
	s3_request_free(r);
	fixture_stop(&f);
}

static void put_sends_memory_and_zeros(void **state)
{
	static const uint64_t sizes[] = {0, 1, 65536, 100000, 5 * MIB + 3};
	struct stub_rule rules[] = {END};
	unsigned char *bytes = malloc(6 * MIB);
	struct fixture f;

	assert_non_null(bytes);
	for (uint64_t i = 0; i < 6 * MIB; i++)
		bytes[i] = stub_byte(i);
	fixture_start(&f, rules, 1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct s3_segment segs[] = {
			segment_memory(bytes, sizes[i] / 2),
			segment_memory(bytes + sizes[i] / 2, sizes[i] - sizes[i] / 2),
			segment_zero(sizes[i] ? 3 : 0),
		};
		struct s3_request *r = fixture_put(&f, "object", segs, 3);
		const struct stub_upload *u;

		fixture_run(&f, r);
		assert_int_equal(r->result.error, S3_OK);
		assert_string_equal(r->result.etag, "\"stored\"");
		u = stub_server_upload(f.server, "object");
		assert_true(upload_is_object(u, 0, 0, sizes[i]));
		assert_int_equal(u->received_bytes, sizes[i] ? sizes[i] + 3 : 0);
		if (sizes[i])
			assert_memory_equal(u->body + sizes[i], "\0\0\0", 3);
		assert_int_equal(r->result.sent_bytes, u->received_bytes);
		assert_non_null(strcasestr(u->header, "content-length:"));
		assert_null(strcasestr(u->header, "expect:"));
		assert_null(strcasestr(u->header, "transfer-encoding:"));
		s3_request_free(r);
	}
	fixture_stop(&f);
	free(bytes);
}

static void bad_answers_to_a_put_have_their_class(void **state)
{
	static const struct {
		struct stub_rule rule;
		enum s3_error error;
	} cases[] = {
		{{.fault = STUB_STATUS, .status = 403}, S3_ERR_ACCESS},
		{{.fault = STUB_STATUS_EARLY, .status = 403}, S3_ERR_ACCESS},
		{{.fault = STUB_STATUS_EARLY, .status = 503}, S3_ERR_THROTTLED},
		{{.fault = STUB_RESET}, S3_ERR_NETWORK},
		{{.fault = STUB_RESET_IN_BODY}, S3_ERR_NETWORK},
		{{.fault = STUB_CLOSE_IN_BODY}, S3_ERR_NETWORK},
		{{.fault = STUB_LATE, .delay_ms = 300}, S3_OK},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stub_rule rules[] = {cases[i].rule, END};
		struct s3_segment seg = segment_zero(8 * MIB);
		struct fixture f;
		struct s3_request *r;

		rules[0].method = "PUT";
		rules[0].key = "object";
		fixture_start(&f, rules, 1);
		r = fixture_put(&f, "object", &seg, 1);
		fixture_run(&f, r);
		if (r->result.error != cases[i].error)
			fail_msg("case %zu: %s", i, r->result.message);
		assert_false(r->result.source_failed);
		s3_request_free(r);
		fixture_stop(&f);
	}
}

static void other_operations_have_their_own_method(void **state)
{
	struct stub_rule rules[] = {
		{.method = "HEAD", .key = "object", .size_bytes = 12345},
		{.method = "DELETE", .key = "object"},
		{.method = "POST",
		 .key = "object",
		 .body = "<CompleteMultipartUploadResult><ETag>\"all\"</ETag></CompleteMultipartUploadResult>"},
		END,
	};
	struct s3_part part = {.number = 1, .etag = "\"part\""};
	const struct stub_upload *u;
	struct fixture f;
	struct s3_request *r;

	fixture_start(&f, rules, 1);
	r = s3_request_new(S3_OP_HEAD, f.bucket, "object");
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_OK);
	assert_int_equal(r->result.size_bytes, 12345);
	s3_request_free(r);

	r = s3_request_new(S3_OP_DELETE, f.bucket, "object");
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_OK);
	assert_int_equal(r->result.http_status, 204);
	s3_request_free(r);

	r = s3_request_new(S3_OP_UPLOAD_COMPLETE, f.bucket, "object");
	r->upload_id = strdup("id");
	r->parts = calloc(1, sizeof(part));
	r->parts[0] = part;
	r->part_count = 1;
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_OK);
	assert_string_equal(r->result.etag, "\"all\"");
	u = stub_server_upload(f.server, "object");
	assert_string_equal(u->method, "POST");
	u->body[u->received_bytes] = '\0';
	assert_non_null(strstr((const char *)u->body, "<PartNumber>1</PartNumber>"));
	assert_null(strcasestr(u->header, "x-www-form-urlencoded"));
	s3_request_free(r);

	/* The handle has sent a HEAD, a DELETE and a POST before: a GET is a GET again. */
	r = s3_request_new(S3_OP_LIST, f.bucket, NULL);
	fixture_run(&f, r);
	assert_int_not_equal(r->result.error, S3_OK);
	assert_int_equal(r->result.http_status, 404);
	s3_request_free(r);
	assert_int_equal(stub_server_connections(f.server), 1);
	fixture_stop(&f);
}

static void a_request_that_lacks_something_comes_back_as_invalid(void **state)
{
	struct stub_rule rules[] = {END};
	struct fixture f;
	struct s3_request *r;

	fixture_start(&f, rules, 1);
	r = s3_request_new(S3_OP_UPLOAD_COMPLETE, f.bucket, "object");
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_ERR_INVALID);
	s3_request_free(r);
	assert_int_equal(stub_server_connections(f.server), 0);
	fixture_stop(&f);
}

static void connections_are_kept_and_measured(void **state)
{
	struct stub_rule rules[] = {{.method = "GET", .key = "object", .size_bytes = 100}, END};
	struct fixture f;
	struct sink sink;

	fixture_start(&f, rules, 1);
	for (int i = 0; i < 3; i++) {
		struct s3_request *r = fixture_get(&f, "object", 0, 0, &sink);

		fixture_run(&f, r);
		assert_int_equal(r->result.error, S3_OK);
		assert_true(r->result.new_connection == (i == 0));
		assert_true(r->result.rtt_us > 0 && r->result.rtt_us < 1000000);
		assert_true(r->result.first_byte_us >= r->result.started_us);
		assert_true(r->result.first_byte_us <= r->result.finished_us);
		s3_request_free(r);
	}
	assert_int_equal(stub_server_connections(f.server), 1);
	fixture_stop(&f);
}

static void a_kept_connection_that_died_is_replaced(void **state)
{
	struct stub_rule rules[] = {
		{.method = "GET", .key = "object", .size_bytes = 100, .fault = STUB_DIES_ON_REUSE},
		{.method = "PUT", .key = "object", .fault = STUB_DIES_ON_REUSE},
		END,
	};
	struct s3_segment segs[] = {segment_memory("abc", 3), segment_zero(200000)};
	struct fixture f;
	struct sink sink;

	fixture_start(&f, rules, 1);
	for (int i = 0; i < 3; i++) {
		struct s3_request *r = fixture_get(&f, "object", 0, 0, &sink);

		fixture_run(&f, r);
		assert_int_equal(r->result.error, S3_OK);
		assert_int_equal(sink.received, 100);
		s3_request_free(r);

		r = fixture_put(&f, "object", segs, 2);
		fixture_run(&f, r);
		assert_int_equal(r->result.error, S3_OK);
		assert_int_equal(stub_server_upload(f.server, "object")->received_bytes, 200003);
		assert_memory_equal(stub_server_upload(f.server, "object")->body, "abc", 4);
		s3_request_free(r);
	}
	fixture_stop(&f);
}

static void nobody_listening_is_a_refused_connection(void **state)
{
	struct stub_rule rules[] = {END};
	struct fixture f;
	struct sink sink;
	struct s3_request *r;
	struct s3_bucket *open;
	struct s3_bucket_config config = {
		.name = "x", .bucket = "b", .endpoint = "http://127.0.0.1:1", .path_style = 1};
	char err[256];

	fixture_start(&f, rules, 1);
	open = s3_bucket_new(&config, err, sizeof(err));
	assert_non_null(open);
	r = fixture_get(&f, "object", 0, 0, &sink);
	r->bucket = open;
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_ERR_CONNECT);
	assert_int_equal(r->result.http_status, 0);
	s3_request_free(r);
	s3_bucket_free(open);
	fixture_stop(&f);
}

static void a_stalled_request_times_out(void **state)
{
	static const char *const methods[] = {"GET", "PUT"};

	for (size_t i = 0; i < 2; i++) {
		struct stub_rule rules[] = {
			{.method = methods[i], .key = "object", .fault = STUB_STALL, .size_bytes = 32 * MIB},
			END,
		};
		struct s3_segment seg = segment_zero(32 * MIB);
		struct fixture f;
		struct sink sink;
		struct s3_request *r;

		fixture_start(&f, rules, 1);
		r = i == 0 ? fixture_get(&f, "object", 0, 0, &sink) : fixture_put(&f, "object", &seg, 1);
		r->stall_timeout_ms = 500;
		fixture_run(&f, r);
		assert_int_equal(r->result.error, S3_ERR_TIMEOUT);
		assert_true(r->result.finished_us - r->result.started_us < 5000000);
		s3_request_free(r);
		fixture_stop(&f);
	}
}

static void a_slow_request_does_not_time_out(void **state)
{
	struct stub_rule rules[] = {
		{.method = "GET", .key = "object", .fault = STUB_SLOW, .delay_ms = 300, .size_bytes = 10 * 16384},
		END,
	};
	struct fixture f;
	struct sink sink;
	struct s3_request *r;

	fixture_start(&f, rules, 1);
	r = fixture_get(&f, "object", 0, 0, &sink);
	r->stall_timeout_ms = 1500;
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_OK);
	s3_request_free(r);
	fixture_stop(&f);
}

static void an_answer_that_does_not_begin_times_out(void **state)
{
	static const char *const methods[] = {"GET", "HEAD"};

	for (size_t i = 0; i < 4; i++) {
		bool has_body = i < 2; /* a relay */
		struct stub_rule rules[] = {
			{.method = methods[has_body ? 0 : i % 2],
			 .key = "object",
			 .fault = STUB_LATE,
			 .delay_ms = 4000,
			 .size_bytes = 100},
			{.method = "PUT", .key = "copy"},
			END,
		};
		struct fixture f;
		struct sink sink;
		struct s3_segment seg;
		struct s3_request *r;

		fixture_start(&f, rules, 1);
		seg = segment_object(&f, "object", 0, 100);
		if (has_body)
			r = fixture_put(&f, "copy", &seg, 1);
		else if (i == 2)
			r = fixture_get(&f, "object", 0, 0, &sink);
		else
			r = s3_request_new(S3_OP_HEAD, f.bucket, "object");
		r->first_byte_timeout_ms = i == 1 ? 20000 : 500;
		fixture_run(&f, r);
		assert_int_equal(r->result.error, i == 1 ? S3_OK : S3_ERR_TIMEOUT);
		if (i != 1)
			assert_true(r->result.finished_us - r->result.started_us < 3500000);
		assert_true(r->result.source_failed == (i == 0));
		s3_request_free(r);
		fixture_stop(&f);
	}
}

/* Both at once, many times: one gets the bytes, the other not a single one. */
static void of_two_in_a_race_one_delivers(void **state)
{
	struct stub_rule rules[] = {
		{.method = "GET", .key = "object", .size_bytes = 100000},
		{.method = "PUT", .key = "copy"},
		END,
	};
	struct fixture f;

	fixture_start(&f, rules, 2);
	for (int i = 0; i < 60; i++) {
		_Atomic(struct s3_request *) race = NULL;
		struct sink sink;
		struct s3_segment seg = segment_object(&f, "object", 0, 100000);
		struct s3_request *r[2], *loser;
		unsigned ok = 0;

		r[0] = i % 2 ? fixture_get(&f, "object", 0, 0, &sink) : fixture_put(&f, "copy", &seg, 1);
		r[0]->race = &race;
		r[1] = s3_request_clone(r[0]);
		for (int k = 0; k < 2; k++)
			f.client->ops->submit(f.client, r[k]);
		for (int k = 0; k < 2; k++)
			ok += fixture_wait(&f)->result.error == S3_OK;
		assert_int_equal(ok, 1);
		loser = race == r[0] ? r[1] : r[0];
		assert_int_equal(loser->result.error, S3_ERR_CANCELLED);
		assert_int_equal(loser->delivered_bytes, 0);
		if (i % 2)
			assert_true(sink.received == 100000 && !sink.is_wrong);
		else
			assert_int_equal(stub_server_upload(f.server, "copy")->opened, i / 2 + 1);
		s3_request_free(r[0]);
		s3_request_free(r[1]);
	}
	fixture_stop(&f);
}

static void cancel_ends_a_request_at_once(void **state)
{
	struct stub_rule rules[] = {
		{.method = "GET", .key = "object", .fault = STUB_STALL, .size_bytes = MIB},
		END,
	};
	struct fixture f;
	struct s3_request *r[20];
	struct sink sinks[20];
	int64_t start;

	fixture_start(&f, rules, 2);
	for (int i = 0; i < 20; i++) {
		r[i] = fixture_get(&f, "object", 0, 0, &sinks[i]);
		f.client->ops->submit(f.client, r[i]);
		if (i % 2)
			f.client->ops->cancel(f.client, r[i]); /* perhaps before it has begun */
	}
	usleep(100000);
	start = clock_monotonic_ms();
	for (int i = 0; i < 20; i += 2)
		f.client->ops->cancel(f.client, r[i]);
	for (int i = 0; i < 20; i++) {
		struct s3_request *done = fixture_wait(&f);

		assert_int_equal(done->result.error, S3_ERR_CANCELLED);
		assert_true(done->result.message[0] != '\0');
		s3_request_free(done);
	}
	assert_true(clock_monotonic_ms() - start < 900);
	fixture_stop(&f);
}

static void cancel_of_what_is_done_changes_nothing(void **state)
{
	struct stub_rule rules[] = {{.method = "GET", .key = "object", .size_bytes = 10}, END};
	struct fixture f;
	struct sink sink;
	struct s3_request *r;

	fixture_start(&f, rules, 1);
	r = fixture_get(&f, "object", 0, 0, &sink);
	f.client->ops->submit(f.client, r);
	usleep(200000);
	f.client->ops->cancel(f.client, r);
	assert_ptr_equal(fixture_wait(&f), r);
	assert_int_equal(r->result.error, S3_OK);
	/* The same request can go again. */
	s3_request_rearm(r);
	sink = (struct sink){0};
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_OK);
	assert_int_equal(sink.received, 10);
	s3_request_free(r);
	fixture_stop(&f);
}

static void poll_waits_no_longer_than_it_should(void **state)
{
	struct stub_rule rules[] = {END};
	struct s3_request *done;
	struct fixture f;
	int64_t start;

	fixture_start(&f, rules, 1);
	start = clock_monotonic_ms();
	assert_int_equal(f.client->ops->poll(f.client, &done, 1, 0), 0);
	assert_true(clock_monotonic_ms() - start < 100);
	assert_int_equal(f.client->ops->poll(f.client, &done, 1, 200), 0);
	assert_true(clock_monotonic_ms() - start >= 200);
	/* A wake that came earlier counts once. */
	f.client->ops->wake(f.client);
	start = clock_monotonic_ms();
	assert_int_equal(f.client->ops->poll(f.client, &done, 1, -1), 0);
	assert_true(clock_monotonic_ms() - start < 1000);
	assert_int_equal(f.client->ops->poll(f.client, &done, 1, 100), 0);
	assert_true(clock_monotonic_ms() - start >= 100);
	fixture_stop(&f);
}

static void many_small_requests_all_come_back(void **state)
{
	struct stub_rule rules[] = {{.method = "GET", .key = "object", .size_bytes = 3000}, END};
	static struct sink sinks[200];
	struct s3_request *done[16];
	struct fixture f;
	size_t back = 0;

	fixture_start(&f, rules, 3);
	for (size_t i = 0; i < 200; i++)
		f.client->ops->submit(f.client, fixture_get(&f, "object", 0, 0, &sinks[i]));
	while (back < 200) {
		size_t n = f.client->ops->poll(f.client, done, 16, 20000);

		assert_true(n > 0 && n <= 16);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(done[i]->result.error, S3_OK);
			assert_int_equal(done[i]->delivered_bytes, 3000);
			s3_request_free(done[i]);
		}
		back += n;
	}
	fixture_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_delivers_exactly_the_bytes_that_were_asked_for),
		cmocka_unit_test(bad_answers_to_a_get_have_their_class),
		cmocka_unit_test(slow_down_says_when_to_come_back),
		cmocka_unit_test(put_sends_memory_and_zeros),
		cmocka_unit_test(bad_answers_to_a_put_have_their_class),
		cmocka_unit_test(other_operations_have_their_own_method),
		cmocka_unit_test(a_request_that_lacks_something_comes_back_as_invalid),
		cmocka_unit_test(connections_are_kept_and_measured),
		cmocka_unit_test(a_kept_connection_that_died_is_replaced),
		cmocka_unit_test(nobody_listening_is_a_refused_connection),
		cmocka_unit_test(a_stalled_request_times_out),
		cmocka_unit_test(a_slow_request_does_not_time_out),
		cmocka_unit_test(an_answer_that_does_not_begin_times_out),
		cmocka_unit_test(of_two_in_a_race_one_delivers),
		cmocka_unit_test(cancel_ends_a_request_at_once),
		cmocka_unit_test(cancel_of_what_is_done_changes_nothing),
		cmocka_unit_test(poll_waits_no_longer_than_it_should),
		cmocka_unit_test(many_small_requests_all_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
