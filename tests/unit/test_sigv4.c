/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signatures: the four examples that AWS publishes, the rules of the canonical request, and the cached key. */
#include "s3/sigv4.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXAMPLE_ID     "AKIAIOSFODNN7EXAMPLE"
#define EXAMPLE_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define EXAMPLE_TIME   1369353600 /* 2013-05-24 */
#define EXAMPLE_SCOPE  EXAMPLE_ID "/20130524/us-east-1/s3/aws4_request"
#define DAY_SECONDS    86400

static struct sigv4_signer *example_signer(void)
{
	struct sigv4_signer *s = sigv4_signer_new(EXAMPLE_ID, EXAMPLE_SECRET, "us-east-1", "s3");

	assert_non_null(s);
	return s;
}

struct example {
	const char *method;
	const char *uri;
	struct sigv4_query query[2];
	size_t query_count;
	struct sigv4_header headers[6];
	size_t header_count;
	const char *payload_hash;
	const char *signed_headers;
	const char *signature;
};

/* In no particular order on purpose. */
static const struct example examples[] = {
	{
		.method = "GET",
		.uri = "/test.txt",
		.headers =
			{
				{"x-amz-date", "20130524T000000Z"},
				{"host", "examplebucket.s3.amazonaws.com"},
				{"x-amz-content-sha256", SIGV4_EMPTY_SHA256},
				{"range", "bytes=0-9"},
			},
		.header_count = 4,
		.payload_hash = SIGV4_EMPTY_SHA256,
		.signed_headers = "host;range;x-amz-content-sha256;x-amz-date",
		.signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
	},
	{
		.method = "PUT",
		.uri = "/test%24file.text",
		.headers =
			{
				{"date", "Fri, 24 May 2013 00:00:00 GMT"},
				{"host", "examplebucket.s3.amazonaws.com"},
				{"x-amz-storage-class", "REDUCED_REDUNDANCY"},
				{"x-amz-date", "20130524T000000Z"},
				{"x-amz-content-sha256",
				 "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
			},
		.header_count = 5,
		.payload_hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
		.signed_headers = "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
		.signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
	},
	{
		.method = "GET",
		.uri = "/",
		.query = {{"lifecycle", NULL}},
		.query_count = 1,
		.headers =
			{
				{"host", "examplebucket.s3.amazonaws.com"},
				{"x-amz-date", "20130524T000000Z"},
				{"x-amz-content-sha256", SIGV4_EMPTY_SHA256},
			},
		.header_count = 3,
		.payload_hash = SIGV4_EMPTY_SHA256,
		.signed_headers = "host;x-amz-content-sha256;x-amz-date",
		.signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
	},
	{
		.method = "GET",
		.uri = "/",
		.query = {{"prefix", "J"}, {"max-keys", "2"}},
		.query_count = 2,
		.headers =
			{
				{"host", "examplebucket.s3.amazonaws.com"},
				{"x-amz-date", "20130524T000000Z"},
				{"x-amz-content-sha256", SIGV4_EMPTY_SHA256},
			},
		.header_count = 3,
		.payload_hash = SIGV4_EMPTY_SHA256,
		.signed_headers = "host;x-amz-content-sha256;x-amz-date",
		.signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
	},
};

static struct sigv4_input example_input(const struct example *e, time_t now)
{
	return (struct sigv4_input){
		.method = e->method,
		.canonical_uri = e->uri,
		.query = e->query,
		.query_count = e->query_count,
		.headers = e->headers,
		.header_count = e->header_count,
		.payload_hash = e->payload_hash,
		.now = now,
	};
}

static char *sign_example(struct sigv4_signer *s, size_t i, time_t now)
{
	struct sigv4_input in = example_input(&examples[i], now);
	struct strbuf out = STRBUF_INIT;

	assert_int_equal(sigv4_authorize(s, &in, &out), 0);
	return strbuf_detach(&out);
}

static void the_published_examples_come_out(void **state)
{
	struct sigv4_signer *s = example_signer();

	assert_string_equal(sigv4_signer_access_key_id(s), EXAMPLE_ID);
	/* Twice: the second round runs with the key that the first one cached. */
	for (size_t i = 0; i < 8; i++) {
		const struct example *e = &examples[i % 4];
		char *got = sign_example(s, i % 4, EXAMPLE_TIME);
		char want[512];

		snprintf(want, sizeof(want), "AWS4-HMAC-SHA256 Credential=%s, SignedHeaders=%s, Signature=%s",
			 EXAMPLE_SCOPE, e->signed_headers, e->signature);
		assert_string_equal(got, want);
		free(got);
	}
	sigv4_signer_free(s);
}

static void the_payload_of_the_put_example_hashes_as_published(void **state)
{
	char hex[65];

	sigv4_sha256_hex("Welcome to Amazon S3.", strlen("Welcome to Amazon S3."), hex);
	assert_string_equal(hex, examples[1].payload_hash);
	sigv4_sha256_hex("", 0, hex);
	assert_string_equal(hex, SIGV4_EMPTY_SHA256);
}

static void the_cached_key_follows_the_day(void **state)
{
	static const int days[] = {0, 1, 0, 0, 400, 1};
	struct sigv4_signer *kept = example_signer();

	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		time_t now = EXAMPLE_TIME + (time_t)days[i] * DAY_SECONDS;
		struct sigv4_signer *fresh = example_signer();
		char *want = sign_example(fresh, 0, now);
		char *got = sign_example(kept, 0, now);

		assert_string_equal(got, want);
		if (days[i] == 0)
			assert_non_null(strstr(got, examples[0].signature));
		else
			assert_null(strstr(got, examples[0].signature));
		free(want);
		free(got);
		sigv4_signer_free(fresh);
	}
	sigv4_signer_free(kept);
}

static void authorize_appends(void **state)
{
	struct sigv4_signer *s = example_signer();
	struct sigv4_input in = example_input(&examples[0], EXAMPLE_TIME);
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

	strbuf_addstr(&out, "authorization: ");
	assert_int_equal(sigv4_authorize(s, &in, &out), 0);
	assert_memory_equal(out.data, "authorization: AWS4-HMAC-SHA256 Credential=", 43);
	sigv4_signer_free(s);
}

static void dates_are_written_in_utc(void **state)
{
	static const struct {
		time_t now;
		const char *date;
	} table[] = {
		{0, "19700101T000000Z"},
		{EXAMPLE_TIME, "20130524T000000Z"},
		{951827696, "20000229T123456Z"},
		{4102444799, "20991231T235959Z"},
	};
	char date[17];

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		sigv4_date(table[i].now, date);
		assert_string_equal(date, table[i].date);
	}
}

static void assert_canonical(const struct sigv4_query *query, size_t query_count, const struct sigv4_header *headers,
			     size_t header_count, const char *want, const char *want_signed)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_STRBUF struct strbuf signed_headers = STRBUF_INIT;
	struct sigv4_input in = {
		.method = "GET",
		.canonical_uri = "/a%20b//../c",
		.query = query,
		.query_count = query_count,
		.headers = headers,
		.header_count = header_count,
		.payload_hash = SIGV4_UNSIGNED_PAYLOAD,
	};

	assert_int_equal(sigv4_canonical_request(&in, &out, &signed_headers), 0);
	assert_string_equal(out.data, want);
	assert_string_equal(signed_headers.data, want_signed);
}

static void query_is_sorted_by_encoded_name_then_value(void **state)
{
	static const struct sigv4_header headers[] = {{"host", "h"}};
	static const struct sigv4_query query[] = {
		{"b", "2"}, {"a-", "1"},      {"a", "z"}, {"a", "\xc3\xa4"}, {"uploads", NULL},
		{"A", ""},  {"a", "a/b c+~"}, {"%", "="}, {"b", "10"},
	};

	assert_canonical(query, sizeof(query) / sizeof(query[0]), headers, 1,
			 "GET\n/a%20b//../c\n"
			 "%25=%3D&A=&a=%C3%A4&a=a%2Fb%20c%2B~&a=z&a-=1&b=10&b=2&uploads=\n"
			 "host:h\n\nhost\nUNSIGNED-PAYLOAD",
			 "host");
}

static void headers_are_sorted_folded_and_joined(void **state)
{
	static const struct sigv4_header headers[] = {
		{"x-amz-meta-b", "  two   words\t and\ttabs  "},
		{"x-amz-meta-a", ""},
		{"x-amz-meta-b", "again"},
		{"host", "h:9000"},
		{"x-amz-meta-", "   "},
	};

	assert_canonical(NULL, 0, headers, sizeof(headers) / sizeof(headers[0]),
			 "GET\n/a%20b//../c\n\n"
			 "host:h:9000\nx-amz-meta-:\nx-amz-meta-a:\nx-amz-meta-b:two words and tabs,again\n\n"
			 "host;x-amz-meta-;x-amz-meta-a;x-amz-meta-b\nUNSIGNED-PAYLOAD",
			 "host;x-amz-meta-;x-amz-meta-a;x-amz-meta-b");
}

struct worker {
	struct sigv4_signer *signer;
	size_t first;
	unsigned wrong;
};

/* Around midnight on purpose: the threads then want different keys from the one signer. */
static void *sign_many(void *arg)
{
	struct worker *w = arg;

	for (size_t i = 0; i < 2000; i++) {
		size_t example = (w->first + i) % 4;
		bool other_day = (w->first + i) % 64 == 0;
		char *got = sign_example(w->signer, example, EXAMPLE_TIME + (other_day ? DAY_SECONDS : 0));

		w->wrong += (strstr(got, examples[example].signature) != NULL) == other_day;
		free(got);
	}
	return NULL;
}

static void threads_share_a_signer(void **state)
{
	struct sigv4_signer *s = example_signer();
	struct worker workers[4];
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++) {
		workers[i] = (struct worker){.signer = s, .first = 7 * i};
		assert_int_equal(pthread_create(&threads[i], NULL, sign_many, &workers[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].wrong, 0);
	}
	sigv4_signer_free(s);
	sigv4_signer_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_examples_come_out),
		cmocka_unit_test(the_payload_of_the_put_example_hashes_as_published),
		cmocka_unit_test(the_cached_key_follows_the_day),
		cmocka_unit_test(authorize_appends),
		cmocka_unit_test(dates_are_written_in_utc),
		cmocka_unit_test(query_is_sorted_by_encoded_name_then_value),
		cmocka_unit_test(headers_are_sorted_folded_and_joined),
		cmocka_unit_test(threads_share_a_signer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
