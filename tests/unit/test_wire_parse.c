/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tests of s3/wire_parse.c, wire_header.c and wire_message.c: canned answers to every operation, honest and not. */
#include "s3/wire.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/bucket.h"
#include "s3/wire_message.h"

static struct s3_bucket bucket = {
	.label = (char *)"src",
	.bucket = (char *)"photos",
	.endpoint = (char *)"http://127.0.0.1:7171",
	.scheme = (char *)"http",
	.host = (char *)"127.0.0.1:7171",
	.base_path = (char *)"/photos",
	.region = (char *)"us-east-1",
	.anonymous = false,
};

static struct s3_request *new_request(enum s3_op op, const char *key)
{
	struct s3_request *r = s3_request_new(op, &bucket, key);

	assert_non_null(r);
	return r;
}

/* HEAD is header lines separated by \n; each is handed over as libcurl does. */
static bool give_head(struct s3_request *r, const char *head)
{
	while (*head) {
		size_t len = strcspn(head, "\n");
		char *line = malloc(len + 2);
		bool ok;

		memcpy(line, head, len);
		memcpy(line + len, "\r\n", 2);
		ok = wire_header_line(&r->result, line, len + 2);
		free(line);
		if (!ok)
			return false;
		head += len + (head[len] == '\n');
	}
	return true;
}

static void answer(struct s3_request *r, int status, const char *head, const char *body)
{
	assert_true(give_head(r, head));
	wire_finish(r, status, body, strlen(body));
	assert_int_equal(r->result.http_status, status);
	assert_true(strlen(r->result.message) < sizeof(r->result.message));
	assert_int_equal(r->result.error == S3_OK, r->result.message[0] == '\0');
}

static void assert_said(const struct s3_request *r, const char *words)
{
	if (!strstr(r->result.message, words))
		print_error("\"%s\" is not in: %s\n", words, r->result.message);
	assert_non_null(strstr(r->result.message, words));
}

/* ------------------------------------------------------------------------------------------------- headers */

static void the_head_of_an_object_is_kept(void **state)
{
	struct s3_request *r = new_request(S3_OP_HEAD, "k");
	struct s3_result *res = &r->result;

	answer(r, 200,
	       "HTTP/1.1 200 OK\nContent-Length: 1234\nETag: \"abc\"\nLAST-MODIFIED: Wed, 21 Oct 2015 07:28:00 GMT\n"
	       "Content-Type:text/plain\ncontent-encoding: gzip\nContent-Language: de\n"
	       "Content-Disposition: attachment; filename=\"a:b\"\nCache-Control: no-cache\nExpires: 0\n"
	       "X-Amz-Meta-Name:   M\xc3\xbcller \t\nx-amz-meta-empty:\nx-amz-storage-class: GLACIER\n"
	       "x-amz-tagging-count: 2\nx-amz-website-redirect-location: /x\nx-amz-bucket-region: eu-west-1\n"
	       "Server: s\nDate: Wed, 21 Oct 2015 07:28:00 GMT\nx-amz-request-id: 1\nx-amz-copy-source-version-id: "
	       "v\n\n",
	       "");
	assert_int_equal(res->error, S3_OK);
	assert_int_equal(res->size_bytes, 1234);
	assert_string_equal(res->etag, "\"abc\"");
	assert_int_equal(res->last_modified.tv_sec, 1445412480);
	assert_string_equal(res->bucket_region, "eu-west-1");
	assert_int_equal(res->retry_after_ms, -1);
	assert_int_equal(res->headers.count, 11);
	assert_string_equal(s3_headers_get(&res->headers, "content-type"), "text/plain");
	assert_string_equal(s3_headers_get(&res->headers, "content-encoding"), "gzip");
	assert_string_equal(s3_headers_get(&res->headers, "content-language"), "de");
	assert_string_equal(s3_headers_get(&res->headers, "content-disposition"), "attachment; filename=\"a:b\"");
	assert_string_equal(s3_headers_get(&res->headers, "cache-control"), "no-cache");
	assert_string_equal(s3_headers_get(&res->headers, "expires"), "0");
	assert_string_equal(s3_headers_get(&res->headers, "x-amz-meta-name"), "M\xc3\xbcller");
	assert_string_equal(s3_headers_get(&res->headers, "x-amz-meta-empty"), "");
	assert_string_equal(s3_headers_get(&res->headers, "x-amz-storage-class"), "GLACIER");
	assert_string_equal(s3_headers_get(&res->headers, "x-amz-tagging-count"), "2");
	assert_string_equal(s3_headers_get(&res->headers, "x-amz-website-redirect-location"), "/x");
	s3_request_free(r);
}

static void a_new_status_line_forgets_what_came_before(void **state)
{
	struct s3_request *r = new_request(S3_OP_HEAD, "k");

	answer(r, 200,
	       "HTTP/1.1 103 Early Hints\nETag: \"old\"\nx-amz-meta-a: 1\nContent-Length: 7\nRetry-After: 3\n\n"
	       "HTTP/2 200\ncontent-length: 5\n\n",
	       "");
	assert_int_equal(r->result.size_bytes, 5);
	assert_string_equal(r->result.etag, "");
	assert_int_equal(r->result.headers.count, 0);
	assert_int_equal(r->result.retry_after_ms, -1);
	s3_request_free(r);
}

static void retry_after_is_seconds_or_a_date(void **state)
{
	static const struct {
		const char *head;
		int64_t ms;
	} cases[] = {
		{"Retry-After: 120\n", 120000},
		{"Retry-After: 0\n", 0},
		{"Retry-After: 99999999999\n", (int64_t)INT32_MAX * 1000},
		{"Retry-After: -5\n", -1},
		{"Retry-After: soon\n", -1},
		{"Retry-After: Wed, 21 Oct 2015 07:28:10 GMT\nDate: Wed, 21 Oct 2015 07:28:00 GMT\n", 10000},
		{"Date: Wed, 21 Oct 2015 07:28:00 GMT\nRetry-After: Wed, 21 Oct 2015 07:28:10 GMT\n", 10000},
		{"Date: Wed, 21 Oct 2015 07:28:00 GMT\nRetry-After: Wed, 21 Oct 2015 07:00:00 GMT\n", 0},
		{"Retry-After: Wed, 21 Oct 2015 07:28:10 GMT\n", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct s3_request *r = new_request(S3_OP_PUT, "k");

		answer(r, 503, cases[i].head, "");
		assert_int_equal(r->result.error, S3_ERR_THROTTLED);
		assert_true(r->result.retry_after_ms == cases[i].ms);
		s3_request_free(r);
	}
}

static void header_lines_are_bounded(void **state)
{
	struct s3_request *r = new_request(S3_OP_HEAD, "k");
	char *line = malloc(70000);
	int count = 0;

	while (count < 10000 && wire_header_line(&r->result, "a: b\r\n", 6))
		count++;
	assert_int_equal(count, 256);
	assert_false(wire_header_line(&r->result, "HTTP/1.1 200 OK\r\n", 17));
	wire_fail(r, CURLE_WRITE_ERROR, "Failed writing header");
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	assert_said(r, "the header of the answer has no end");
	s3_request_free(r);

	memset(line, 'x', 70000);
	memcpy(line, "x-amz-meta-a:", 13);
	r = new_request(S3_OP_HEAD, "k");
	assert_true(wire_header_line(&r->result, line, 60000));
	assert_int_equal(strlen(s3_headers_get(&r->result.headers, "x-amz-meta-a")), 60000 - 13);
	assert_false(wire_header_line(&r->result, line, 6000));
	s3_request_free(r);
	r = new_request(S3_OP_HEAD, "k");
	assert_false(wire_header_line(&r->result, line, 70000));
	s3_request_free(r);
	free(line);
}

static void endless_early_hints_are_bounded_too(void **state)
{
	struct s3_request *r = new_request(S3_OP_HEAD, "k");
	int count = 0;

	while (count < 10000 && wire_header_line(&r->result, "HTTP/1.1 103 Early Hints\r\n", 26))
		count++;
	assert_int_equal(count, 256);
	s3_request_free(r);
}

static void odd_header_lines_do_no_harm(void **state)
{
	static const char *const lines[] = {"",        "\r\n",       ":",   ": x",   "etag",
					    "etag :x", " folded: x", "\tx", "etag:", "x:"};
	struct s3_request *r = new_request(S3_OP_HEAD, "k");
	char long_name[2000];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_true(wire_header_line(&r->result, lines[i], strlen(lines[i])));
	memset(long_name, 'n', sizeof(long_name));
	long_name[1999] = ':';
	assert_true(wire_header_line(&r->result, long_name, sizeof(long_name)));
	assert_string_equal(r->result.etag, "");
	assert_int_equal(r->result.headers.count, 0);
	assert_false(wire_header_line(&r->result, "etag: a\0b", 9));
	s3_request_free(r);
}

static void an_etag_too_long_to_keep_is_no_etag(void **state)
{
	struct s3_request *r = new_request(S3_OP_UPLOAD_PART, "k");
	char head[256];

	snprintf(head, sizeof(head), "ETag: \"%0120d\"\n", 1);
	answer(r, 200, head, "");
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	assert_string_equal(r->result.etag, "");
	s3_request_free(r);
}

/* ------------------------------------------------------------------------------------------------- objects */

static void ignore_data(void *arg, const void *data, size_t len)
{
}

static void a_get_must_be_the_range_that_was_asked_for(void **state)
{
	static const struct {
		uint64_t offset, length;
		int status;
		const char *head;
		enum s3_error error;
		uint64_t size, delivered;
	} cases[] = {
		/* the whole object */
		{0, 0, 200, "Content-Length: 10\n", S3_OK, 10, 10},
		{0, 0, 200, "Content-Length: 0\n", S3_OK, 0, 0},
		{0, 0, 200, "Transfer-Encoding: chunked\n", S3_OK, 7, 7},
		{0, 0, 206, "Content-Range: bytes 0-9/10\nContent-Length: 10\n", S3_OK, 10, 10},
		{0, 0, 206, "Content-Range: bytes 0-8/10\nContent-Length: 9\n", S3_ERR_PROTOCOL, 0, 9},
		{0, 0, 204, "", S3_ERR_PROTOCOL, 0, 0},
		/* a range */
		{2, 3, 206, "Content-Range: bytes 2-4/10\nContent-Length: 3\n", S3_OK, 10, 3},
		{2, 3, 206, "Content-Length: 3\nContent-Range: bytes 2-4/10\n", S3_OK, 10, 3},
		{2, 3, 206, "Content-Range: bytes 2-4/10\n", S3_OK, 10, 3},
		{2, 0, 206, "Content-Range: bytes 2-9/10\n", S3_OK, 10, 8},
		{8, 100, 206, "Content-Range: bytes 8-9/10\n", S3_OK, 10, 2},
		{UINT64_C(1) << 45, 1, 206, "Content-Range: bytes 35184372088832-35184372088832/35184372088833\n",
		 S3_OK, (UINT64_C(1) << 45) + 1, 1},
		/* another one */
		{2, 3, 206, "Content-Range: bytes 3-5/10\n", S3_ERR_PROTOCOL, 0, 3},
		{2, 3, 206, "Content-Range: bytes 2-5/10\n", S3_ERR_PROTOCOL, 0, 3},
		{2, 3, 206, "Content-Range: bytes 2-3/10\n", S3_ERR_PROTOCOL, 0, 2},
		{2, 0, 206, "Content-Range: bytes 2-8/10\n", S3_ERR_PROTOCOL, 0, 7},
		{8, 9, 206, "Content-Range: bytes 0-3/4\n", S3_ERR_PROTOCOL, 0, 4},
		/* lies */
		{2, 3, 206, "Content-Range: bytes 2-4/10\nContent-Length: 4\n", S3_ERR_PROTOCOL, 0, 4},
		{2, 3, 206, "Content-Range: bytes 2-4/10\n", S3_ERR_PROTOCOL, 0, 2},
		{0, 0, 200, "Content-Length: 10\n", S3_ERR_PROTOCOL, 0, 9},
		{2, 3, 206, "Content-Range: bytes 4-2/10\n", S3_ERR_PROTOCOL, 0, 3},
		{2, 3, 206, "Content-Range: bytes 2-4/4\n", S3_ERR_PROTOCOL, 0, 3},
		{2, 3, 206, "Content-Range: bytes 2-4/*\n", S3_ERR_PROTOCOL, 0, 3},
		{2, 3, 206, "Content-Range: bytes 2-4/18446744073709551616\n", S3_ERR_PROTOCOL, 0, 3},
		{2, 3, 206, "Content-Range: items 2-4/10\n", S3_ERR_PROTOCOL, 0, 3},
		{2, 3, 206, "Content-Length: 3\n", S3_ERR_PROTOCOL, 0, 3},
		/* a server that knows no ranges */
		{0, 10, 200, "Content-Length: 10\n", S3_OK, 10, 10},
		{0, 50, 200, "Content-Length: 10\n", S3_OK, 10, 10},
		{0, 5, 200, "Content-Length: 10\n", S3_ERR_PROTOCOL, 0, 10},
		{2, 0, 200, "Content-Length: 10\n", S3_ERR_PROTOCOL, 0, 10},
		{0, 5, 200, "", S3_ERR_PROTOCOL, 0, 5},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct s3_request *r = new_request(S3_OP_GET, "k");

		r->offset_bytes = cases[i].offset;
		r->length_bytes = cases[i].length;
		r->delivered_bytes = cases[i].delivered;
		r->on_data = ignore_data;
		answer(r, cases[i].status, cases[i].head, "");
		assert_int_equal(r->result.error, cases[i].error);
		assert_true(r->result.size_bytes == cases[i].size);
		s3_request_free(r);
	}
}

static void only_the_bytes_that_were_asked_for_are_data(void **state)
{
	struct s3_request *r = new_request(S3_OP_GET, "k");

	r->offset_bytes = 5;
	assert_true(give_head(r, "HTTP/1.1 200 OK\nContent-Length: 10\n"));
	assert_false(wire_body_is_data(r, 200));
	assert_true(give_head(r, "HTTP/1.1 206 Partial\nContent-Range: bytes 4-9/10\n"));
	assert_false(wire_body_is_data(r, 206));
	assert_true(give_head(r, "HTTP/1.1 206 Partial\nContent-Range: bytes 5-9/10\n"));
	assert_true(wire_body_is_data(r, 206));
	assert_false(wire_body_is_data(r, 404));
	s3_request_free(r);

	r = new_request(S3_OP_GET, "k");
	assert_true(wire_body_is_data(r, 200));
	assert_false(wire_body_is_data(r, 500));
	s3_request_free(r);
	r = new_request(S3_OP_LIST, NULL);
	assert_false(wire_body_is_data(r, 200));
	s3_request_free(r);
}

static void a_head_without_a_length_is_not_an_empty_object(void **state)
{
	struct s3_request *r = new_request(S3_OP_HEAD, "k");

	answer(r, 200, "ETag: \"e\"\n", "");
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	assert_said(r, "no Content-Length");
	s3_request_free(r);
}

static void a_put_answers_with_its_etag_only(void **state)
{
	struct s3_request *r = new_request(S3_OP_PUT, "k");

	answer(r, 200, "ETag: \"e\"\nContent-Length: 5\nContent-Type: text/html\n", "hello");
	assert_int_equal(r->result.error, S3_OK);
	assert_string_equal(r->result.etag, "\"e\"");
	assert_int_equal(r->result.size_bytes, 0);
	assert_int_equal(r->result.headers.count, 0);
	s3_request_free(r);
}

static void a_part_without_an_etag_cannot_be_used(void **state)
{
	struct s3_request *r = new_request(S3_OP_UPLOAD_PART, "k");

	answer(r, 200, "", "");
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	s3_request_free(r);
	r = new_request(S3_OP_UPLOAD_PART, "k");
	answer(r, 200, "ETag: x\n", "");
	assert_int_equal(r->result.error, S3_OK);
	s3_request_free(r);
}

static void deleting_what_is_not_there_succeeds(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum s3_error error;
	} cases[] = {
		{204, "", S3_OK},
		{200, "", S3_OK},
		{404, "", S3_OK},
		{404, "<Error><Code>NoSuchKey</Code></Error>", S3_OK},
		{404, "<Error><Code>NoSuchBucket</Code></Error>", S3_ERR_NO_BUCKET},
		{403, "<Error><Code>AccessDenied</Code></Error>", S3_ERR_ACCESS},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct s3_request *r = new_request(S3_OP_DELETE, "k");

		answer(r, cases[i].status, "", cases[i].body);
		assert_int_equal(r->result.error, cases[i].error);
		s3_request_free(r);
	}
}

/* -------------------------------------------------------------------------------------------------- errors */

static void errors_are_classified_by_code_then_status(void **state)
{
	static const struct {
		enum s3_op op;
		int status;
		const char *body;
		enum s3_error error;
		const char *code;
	} cases[] = {
		{S3_OP_GET, 404, "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", S3_ERR_NOT_FOUND,
		 "NoSuchKey"},
		{S3_OP_GET, 404, "<Error><Code>NoSuchBucket</Code></Error>", S3_ERR_NO_BUCKET, "NoSuchBucket"},
		{S3_OP_HEAD, 404, "", S3_ERR_NOT_FOUND, ""},
		{S3_OP_HEAD, 403, "", S3_ERR_ACCESS, ""},
		{S3_OP_HEAD, 412, "", S3_ERR_PRECONDITION, ""},
		{S3_OP_HEAD, 304, "", S3_ERR_PRECONDITION, ""},
		{S3_OP_HEAD_BUCKET, 404, "", S3_ERR_NO_BUCKET, ""},
		{S3_OP_LIST, 404, "", S3_ERR_NO_BUCKET, ""},
		{S3_OP_UPLOAD_PART, 404, "<Error><Code>NoSuchUpload</Code></Error>", S3_ERR_NO_UPLOAD, "NoSuchUpload"},
		{S3_OP_UPLOAD_ABORT, 404, "<Error><Code>NoSuchUpload</Code></Error>", S3_ERR_NO_UPLOAD, "NoSuchUpload"},
		{S3_OP_GET, 403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", S3_ERR_CREDENTIALS,
		 "SignatureDoesNotMatch"},
		{S3_OP_PUT, 412, "<Error><Code>PreconditionFailed</Code></Error>", S3_ERR_PRECONDITION,
		 "PreconditionFailed"},
		{S3_OP_PUT, 409, "<Error><Code>ConditionalRequestConflict</Code></Error>", S3_ERR_CONFLICT,
		 "ConditionalRequestConflict"},
		{S3_OP_GET, 416, "<Error><Code>InvalidRange</Code></Error>", S3_ERR_RANGE, "InvalidRange"},
		{S3_OP_PUT, 400, "<Error><Code>EntityTooLarge</Code></Error>", S3_ERR_TOO_LARGE, "EntityTooLarge"},
		{S3_OP_PUT, 400, "<Error><Code>RequestTimeout</Code></Error>", S3_ERR_TIMEOUT, "RequestTimeout"},
		{S3_OP_PUT, 400, "<Error><Code>BadDigest</Code></Error>", S3_ERR_CORRUPT, "BadDigest"},
		{S3_OP_PUT, 400, "<Error><Code>Whatever</Code></Error>", S3_ERR_INVALID, "Whatever"},
		{S3_OP_COPY, 501, "<Error><Code>NotImplemented</Code></Error>", S3_ERR_UNSUPPORTED, "NotImplemented"},
		{S3_OP_GET, 503, "<Error><Code>SlowDown</Code></Error>", S3_ERR_THROTTLED, "SlowDown"},
		{S3_OP_GET, 500, "<Error><Code>InternalError</Code></Error>", S3_ERR_SERVER, "InternalError"},
		/* what is no <Error> is left alone */
		{S3_OP_GET, 502, "<html><body>Bad Gateway</body></html>", S3_ERR_SERVER, ""},
		{S3_OP_GET, 403, "<Error><Code>AccessDen", S3_ERR_ACCESS, ""},
		{S3_OP_GET, 404, "<!DOCTYPE x [<!ENTITY e \"NoSuchBucket\">]><Error><Code>&e;</Code></Error>",
		 S3_ERR_NOT_FOUND, ""},
		{S3_OP_GET, 404, "<DeleteResult><Error><Code>NoSuchBucket</Code></Error></DeleteResult>",
		 S3_ERR_NOT_FOUND, ""},
		{S3_OP_GET, 0, "", S3_ERR_PROTOCOL, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct s3_request *r = new_request(cases[i].op, "k");

		answer(r, cases[i].status, "HTTP/1.1 400 Bad\nETag: \"e\"\nContent-Length: 9\nx-amz-meta-a: 1\n",
		       cases[i].body);
		assert_int_equal(r->result.error, cases[i].error);
		assert_string_equal(r->result.code, cases[i].code);
		assert_string_equal(r->result.etag, "");
		assert_int_equal(r->result.size_bytes, 0);
		assert_int_equal(r->result.headers.count, 0);
		s3_request_free(r);
	}
}

static void a_wrong_region_names_the_right_one(void **state)
{
	static const struct {
		enum s3_op op;
		int status;
		const char *head, *body, *words;
	} cases[] = {
		{S3_OP_GET, 301, "x-amz-bucket-region: eu-west-1\n", "", "set region = eu-west-1"},
		{S3_OP_GET, 307, "", "<Error><Code>TemporaryRedirect</Code><Endpoint>b.example.com</Endpoint></Error>",
		 "the bucket lives at b.example.com"},
		{S3_OP_LIST, 400, "",
		 "<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu-west-1'</Message>"
		 "<Region>eu-west-1</Region></Error>",
		 "set region = eu-west-1"},
		{S3_OP_HEAD, 400, "x-amz-bucket-region: ap-south-1\n", "", "set region = ap-south-1"},
		{S3_OP_GET, 308, "", "", "set region and endpoint"},
	};
	struct s3_request *r;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r = new_request(cases[i].op, "k");
		answer(r, cases[i].status, cases[i].head, cases[i].body);
		assert_int_equal(r->result.error, S3_ERR_REGION);
		assert_said(r, cases[i].words);
		s3_request_free(r);
	}
	/* The right region in a 400 says that something else is wrong. */
	r = new_request(S3_OP_HEAD, "k");
	answer(r, 400, "x-amz-bucket-region: us-east-1\n", "");
	assert_int_equal(r->result.error, S3_ERR_INVALID);
	s3_request_free(r);
}

static void a_skewed_clock_is_told_the_time(void **state)
{
	struct s3_request *r = new_request(S3_OP_GET, "k");

	answer(r, 403, "Date: Wed, 21 Oct 2015 07:28:00 GMT\n", "<Error><Code>RequestTimeTooSkewed</Code></Error>");
	assert_int_equal(r->result.error, S3_ERR_CLOCK);
	assert_said(r, "the server has 2015-10-21 07:28:00 UTC");
	s3_request_free(r);
}

static void an_error_inside_a_200_is_an_error(void **state)
{
	static const enum s3_op ops[] = {S3_OP_COPY,        S3_OP_UPLOAD_PART_COPY, S3_OP_UPLOAD_COMPLETE, S3_OP_LIST,
					 S3_OP_DELETE_MANY, S3_OP_UPLOAD_CREATE,    S3_OP_LIST_PARTS};
	static const struct {
		const char *body;
		enum s3_error error;
	} cases[] = {
		{"<Error><Code>InternalError</Code><Message>try again</Message></Error>", S3_ERR_SERVER},
		{"\n\n  <Error><Code>SlowDown</Code></Error>", S3_ERR_THROTTLED},
		{"<Error><Code>PreconditionFailed</Code></Error>", S3_ERR_PRECONDITION},
		{"<Error><Code>SomethingNew</Code></Error>", S3_ERR_SERVER},
		{"<Error/>", S3_ERR_SERVER},
	};

	for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct s3_request *r = new_request(ops[o], "k");

			answer(r, 200, "ETag: \"e\"\n", cases[i].body);
			assert_int_equal(r->result.error, cases[i].error);
			assert_string_equal(r->result.etag, "");
			s3_request_free(r);
		}
	}
}

static void a_200_that_is_not_the_xml_it_should_be_is_a_protocol_error(void **state)
{
	static const enum s3_op ops[] = {S3_OP_COPY,       S3_OP_UPLOAD_PART_COPY, S3_OP_UPLOAD_COMPLETE,
					 S3_OP_LIST,       S3_OP_DELETE_MANY,      S3_OP_UPLOAD_CREATE,
					 S3_OP_LIST_PARTS, S3_OP_LIST_UPLOADS};
	static const char *const bodies[] = {
		"",
		"  ",
		"OK",
		"<html/>",
		"<ListBucketResult><Contents><Key>k</Key>",
		"<!DOCTYPE ListBucketResult><ListBucketResult/>",
		"<CopyObjectResult><ETag>\"e\"</ETag>",
		"<LocationConstraint/>",
	};

	for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++) {
		for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
			struct s3_request *r = new_request(ops[o], "k");

			answer(r, 200, "", bodies[i]);
			assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
			assert_null(r->result.entries);
			s3_request_free(r);
		}
	}
}

static void the_answer_to_another_operation_is_a_protocol_error(void **state)
{
	struct s3_request *r = new_request(S3_OP_COPY, "k");

	answer(r, 200, "", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>");
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	s3_request_free(r);
}

static void a_body_beyond_the_bound_is_a_protocol_error(void **state)
{
	struct s3_request *r = new_request(S3_OP_LIST, NULL);
	char *body = calloc(1, WIRE_BODY_MAX_BYTES + 1);

	wire_finish(r, 200, body, WIRE_BODY_MAX_BYTES + 1);
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	free(body);
	s3_request_free(r);
}

/* ---------------------------------------------------------------------------------------------------- XML */

static void copies_and_completions_give_an_etag(void **state)
{
	static const struct {
		enum s3_op op;
		const char *body;
	} cases[] = {
		{S3_OP_COPY,
		 "<CopyObjectResult><ETag>\"new\"</ETag><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
		 "</CopyObjectResult>"},
		{S3_OP_UPLOAD_PART_COPY, "<CopyPartResult><ETag>&quot;new&quot;</ETag></CopyPartResult>"},
		{S3_OP_UPLOAD_COMPLETE, "<CompleteMultipartUploadResult><ETag>\"new\"</ETag>"
					"</CompleteMultipartUploadResult>"},
	};
	struct s3_request *r;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r = new_request(cases[i].op, "k");
		answer(r, 200, "Content-Length: 77\nContent-Type: application/xml\n", cases[i].body);
		assert_int_equal(r->result.error, S3_OK);
		assert_string_equal(r->result.etag, "\"new\"");
		assert_int_equal(r->result.size_bytes, 0);
		assert_int_equal(r->result.headers.count, 0);
		s3_request_free(r);
	}
	r = new_request(S3_OP_UPLOAD_PART_COPY, "k");
	answer(r, 200, "", "<CopyPartResult/>");
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	s3_request_free(r);
}

static void creating_an_upload_gives_its_id(void **state)
{
	struct s3_request *r = new_request(S3_OP_UPLOAD_CREATE, "a\x01");

	answer(r, 200, "",
	       "<InitiateMultipartUploadResult><Key>a&#x1;</Key><UploadId>u1</UploadId></"
	       "InitiateMultipartUploadResult>");
	assert_int_equal(r->result.error, S3_OK);
	assert_string_equal(r->result.upload_id, "u1");
	s3_request_free(r);
	r = new_request(S3_OP_UPLOAD_CREATE, "k");
	answer(r, 200, "", "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>");
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	assert_null(r->result.upload_id);
	s3_request_free(r);
}

static void a_page_of_a_listing_is_given(void **state)
{
	struct s3_request *r = new_request(S3_OP_LIST, NULL);

	r->prefix = strdup("p/");
	answer(r, 200, "",
	       "<ListBucketResult><Prefix>p/</Prefix><IsTruncated>true</IsTruncated>"
	       "<NextContinuationToken>t2</NextContinuationToken><EncodingType>url</EncodingType>"
	       "<Contents><Key>p/a+b</Key><Size>3</Size><ETag>\"e\"</ETag></Contents>"
	       "<CommonPrefixes><Prefix>p%2Fd/</Prefix></CommonPrefixes></ListBucketResult>");
	assert_int_equal(r->result.error, S3_OK);
	assert_int_equal(r->result.entry_count, 2);
	assert_string_equal(r->result.entries[0].key, "p/a b");
	assert_string_equal(r->result.entries[1].key, "p/d/");
	assert_true(r->result.entries[1].is_prefix);
	assert_string_equal(r->result.next_token, "t2");
	s3_request_free(r);
}

static void a_listing_that_leaves_its_prefix_or_goes_in_circles_is_refused(void **state)
{
	struct s3_request *r = new_request(S3_OP_LIST, NULL);

	r->prefix = strdup("p/");
	answer(r, 200, "",
	       "<ListBucketResult><Contents><Key>p/a</Key><Size>3</Size></Contents>"
	       "<Contents><Key>p</Key><Size>3</Size></Contents></ListBucketResult>");
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	assert_int_equal(r->result.entry_count, 0);
	s3_request_free(r);

	r = new_request(S3_OP_LIST, NULL);
	r->token = strdup("t");
	answer(r, 200, "",
	       "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
	       "</ListBucketResult>");
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	assert_null(r->result.next_token);
	s3_request_free(r);
}

static void a_listed_key_is_never_a_mutilated_one(void **state)
{
	struct s3_request *r = new_request(S3_OP_LIST, NULL);

	/* Skipping what XML does not allow would make it the name of another object. */
	answer(r, 200, "",
	       "<ListBucketResult><Contents><Key>a&#x1;b</Key><Size>3</Size></Contents></ListBucketResult>");
	assert_int_equal(r->result.error, S3_ERR_PROTOCOL);
	s3_request_free(r);
}

static void parts_and_uploads_are_given(void **state)
{
	struct s3_request *r = new_request(S3_OP_LIST_PARTS, "k");

	answer(r, 200, "",
	       "<ListPartsResult><Part><PartNumber>7</PartNumber><ETag>\"e\"</ETag><Size>5</Size></Part>"
	       "<IsTruncated>false</IsTruncated><NextPartNumberMarker>7</NextPartNumberMarker></ListPartsResult>");
	assert_int_equal(r->result.part_count, 1);
	assert_int_equal(r->result.parts[0].number, 7);
	assert_null(r->result.next_token);
	s3_request_free(r);

	r = new_request(S3_OP_LIST_UPLOADS, NULL);
	answer(r, 200, "",
	       "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
	       "<NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>k</Key><UploadId>u</UploadId></Upload>"
	       "</ListMultipartUploadsResult>");
	assert_int_equal(r->result.entry_count, 1);
	assert_string_equal(r->result.next_token, "k\nu");
	s3_request_free(r);
}

static void deleting_many_fails_with_the_first_key_that_failed(void **state)
{
	struct s3_request *r = new_request(S3_OP_DELETE_MANY, NULL);

	answer(r, 200, "", "<DeleteResult/>");
	assert_int_equal(r->result.error, S3_OK);
	s3_request_free(r);

	r = new_request(S3_OP_DELETE_MANY, NULL);
	answer(r, 200, "", "<DeleteResult><Error><Key>a</Key><Code>NoSuchKey</Code></Error></DeleteResult>");
	assert_int_equal(r->result.error, S3_OK);
	s3_request_free(r);

	r = new_request(S3_OP_DELETE_MANY, NULL);
	answer(r, 200, "",
	       "<DeleteResult><Error><Key>dir/b</Key><Code>AccessDenied</Code><Message>locked</Message></Error>"
	       "<Error><Key>c</Key><Code>InternalError</Code></Error></DeleteResult>");
	assert_int_equal(r->result.error, S3_ERR_ACCESS);
	assert_string_equal(r->result.code, "AccessDenied");
	assert_said(r, "DeleteObjects \"dir/b\": access denied (AccessDenied: locked)");
	s3_request_free(r);
}

/* ------------------------------------------------------------------------------------------------ messages */

static void a_message_says_what_where_why_and_what_to_do(void **state)
{
	struct s3_request *r = new_request(S3_OP_GET, "dir/file");

	answer(r, 403, "", "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>");
	assert_string_equal(r->result.message,
			    "bucket \"src\" (photos at http://127.0.0.1:7171): GetObject \"dir/file\": access denied "
			    "(AccessDenied: Access Denied.): check the key pair and its permissions");
	s3_request_free(r);

	r = new_request(S3_OP_HEAD_BUCKET, NULL);
	answer(r, 403, "", "");
	assert_string_equal(r->result.message,
			    "bucket \"src\" (photos at http://127.0.0.1:7171): HeadBucket: access denied "
			    "(HTTP 403): check the key pair and its permissions");
	s3_request_free(r);

	r = new_request(S3_OP_COPY, "to");
	r->src_key = strdup("from");
	answer(r, 404, "", "<Error><Code>NoSuchKey</Code></Error>");
	assert_string_equal(r->result.message,
			    "bucket \"src\" (photos at http://127.0.0.1:7171): CopyObject \"to\" from "
			    "\"from\": not found (NoSuchKey)");
	s3_request_free(r);
}

static void who_has_no_keys_is_not_told_to_check_them(void **state)
{
	struct s3_bucket open_bucket = bucket;
	struct s3_request *r;

	open_bucket.anonymous = true;
	r = s3_request_new(S3_OP_LIST, &open_bucket, NULL);
	answer(r, 403, "", "<Error><Code>AccessDenied</Code></Error>");
	assert_int_equal(r->result.error, S3_ERR_ACCESS);
	assert_said(r, "no keys were found");
	assert_null(strstr(r->result.message, "check the key pair"));
	s3_request_free(r);
}

static void a_web_page_is_called_one(void **state)
{
	static const char *const pages[] = {
		"<!DOCTYPE html><html><p>Hello<br></html>",
		"\n <!doctype HTML>",
		"<HTML lang=\"en\">",
	};
	static const int statuses[] = {200, 403, 404, 500};

	for (size_t p = 0; p < sizeof(pages) / sizeof(pages[0]); p++) {
		for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
			struct s3_request *r = new_request(S3_OP_LIST, NULL);

			answer(r, statuses[i], "", pages[p]);
			assert_said(r, "a web page, not S3's");
			assert_said(r, "check that the endpoint is an S3 server");
			s3_request_free(r);
		}
	}
}

static void a_web_page_does_not_say_that_an_object_is_deleted(void **state)
{
	struct s3_request *r = new_request(S3_OP_DELETE, "k");

	answer(r, 404, "", "<html>no such host here</html>");
	assert_int_equal(r->result.error, S3_ERR_NOT_FOUND);
	s3_request_free(r);
}

static void an_answer_in_plain_text_is_told_from_a_bad_certificate(void **state)
{
	struct s3_request *r = new_request(S3_OP_LIST, NULL);

	wire_fail(r, CURLE_SSL_CONNECT_ERROR, "error:0A00010B:SSL routines::wrong version number");
	assert_int_equal(r->result.error, S3_ERR_TLS);
	assert_said(r, "speaks no TLS");
	s3_request_free(r);
}

static void what_exists_already_is_not_called_changed_by_someone(void **state)
{
	struct s3_request *r = new_request(S3_OP_PUT, "k");

	r->if_none_match = strdup("*");
	answer(r, 412, "", "");
	assert_int_equal(r->result.error, S3_ERR_PRECONDITION);
	assert_said(r, "the object exists already");
	assert_null(strstr(r->result.message, "changed the object"));
	s3_request_free(r);
}

static void nothing_a_stranger_says_reaches_a_terminal_unescaped(void **state)
{
	struct s3_request *r = new_request(S3_OP_GET, "a\x1b[31m\nb\xff\xc2\x9b\xc3\xa4");

	answer(r, 400, "", "<Error><Code>x&#x9;y</Code><Message>a&#10;b\xc2\x85</Message></Error>");
	assert_said(r, "\"a\\x1b[31m\\x0ab\\xff\\xc2\\x9b\xc3\xa4\"");
	assert_said(r, "(x\\x09y: a\\x0ab\\xc2\\x85)");
	for (const char *s = r->result.message; *s; s++)
		assert_true((unsigned char)*s >= 0x20 && *s != 0x7f);
	s3_request_free(r);
}

static void long_names_and_words_leave_room_for_the_advice(void **state)
{
	char key[1025], body[2048];
	struct s3_request *r;

	memset(key, 'k', 1024);
	key[1024] = '\0';
	r = new_request(S3_OP_GET, key);
	snprintf(body, sizeof(body), "<Error><Code>AccessDenied</Code><Message>%s</Message></Error>", key);
	answer(r, 403, "", body);
	assert_said(r, "kkk...\"");
	assert_said(r, "check the key pair and its permissions");
	s3_request_free(r);
}

static void escaping_never_cuts_a_character(void **state)
{
	char out[32];

	for (size_t size = 5; size <= sizeof(out); size++) {
		size_t len = wire_escape(out, size, "\xc3\xa4\xe2\x82\xac\x01\xf0\x9f\x98\x80xyz\xc3\xa4");
		char again[128];

		assert_int_equal(strlen(out), len);
		assert_true(len < size);
		/* What was cut inside a character would be escaped the second time. */
		assert_int_equal(wire_escape(again, sizeof(again), out), len);
	}
	assert_int_equal(wire_escape(out, 5, "abcd"), 4);
	assert_string_equal(out, "abcd");
	wire_escape(out, 5, "abcde");
	assert_string_equal(out, "a...");
}

static void a_broken_attempt_is_classified_and_told(void **state)
{
	struct s3_request *r = new_request(S3_OP_PUT, "k");

	assert_true(give_head(r, "HTTP/1.1 200 OK\nETag: \"half\"\nx-amz-meta-a: 1\n"));
	wire_fail(r, CURLE_COULDNT_CONNECT, "Failed to connect to 127.0.0.1 port 7171");
	assert_int_equal(r->result.error, S3_ERR_CONNECT);
	assert_int_equal(r->result.http_status, 0);
	assert_string_equal(r->result.etag, "");
	assert_int_equal(r->result.headers.count, 0);
	assert_string_equal(r->result.message,
			    "bucket \"src\" (photos at http://127.0.0.1:7171): PutObject \"k\": refused "
			    "connection (Failed to connect to 127.0.0.1 port 7171): check that the "
			    "server runs and can be reached");
	s3_request_free(r);

	r = new_request(S3_OP_PUT, "k");
	wire_fail(r, CURLE_ABORTED_BY_CALLBACK, "");
	assert_int_equal(r->result.error, S3_ERR_CANCELLED);
	assert_string_equal(r->result.message,
			    "bucket \"src\" (photos at http://127.0.0.1:7171): PutObject \"k\": cancelled");
	s3_request_free(r);
}

static void a_request_can_be_answered_again_after_rearming(void **state)
{
	struct s3_request *r = new_request(S3_OP_LIST, NULL);

	answer(r, 503, "Retry-After: 1\n", "");
	s3_request_rearm(r);
	answer(r, 200, "", "<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>");
	assert_int_equal(r->result.error, S3_OK);
	assert_int_equal(r->result.entry_count, 1);
	assert_int_equal(r->result.retry_after_ms, -1);
	s3_request_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_head_of_an_object_is_kept),
		cmocka_unit_test(a_new_status_line_forgets_what_came_before),
		cmocka_unit_test(retry_after_is_seconds_or_a_date),
		cmocka_unit_test(header_lines_are_bounded),
		cmocka_unit_test(endless_early_hints_are_bounded_too),
		cmocka_unit_test(odd_header_lines_do_no_harm),
		cmocka_unit_test(an_etag_too_long_to_keep_is_no_etag),
		cmocka_unit_test(a_get_must_be_the_range_that_was_asked_for),
		cmocka_unit_test(only_the_bytes_that_were_asked_for_are_data),
		cmocka_unit_test(a_head_without_a_length_is_not_an_empty_object),
		cmocka_unit_test(a_put_answers_with_its_etag_only),
		cmocka_unit_test(a_part_without_an_etag_cannot_be_used),
		cmocka_unit_test(deleting_what_is_not_there_succeeds),
		cmocka_unit_test(errors_are_classified_by_code_then_status),
		cmocka_unit_test(a_wrong_region_names_the_right_one),
		cmocka_unit_test(a_skewed_clock_is_told_the_time),
		cmocka_unit_test(an_error_inside_a_200_is_an_error),
		cmocka_unit_test(a_200_that_is_not_the_xml_it_should_be_is_a_protocol_error),
		cmocka_unit_test(the_answer_to_another_operation_is_a_protocol_error),
		cmocka_unit_test(a_body_beyond_the_bound_is_a_protocol_error),
		cmocka_unit_test(copies_and_completions_give_an_etag),
		cmocka_unit_test(creating_an_upload_gives_its_id),
		cmocka_unit_test(a_page_of_a_listing_is_given),
		cmocka_unit_test(a_listing_that_leaves_its_prefix_or_goes_in_circles_is_refused),
		cmocka_unit_test(a_listed_key_is_never_a_mutilated_one),
		cmocka_unit_test(parts_and_uploads_are_given),
		cmocka_unit_test(deleting_many_fails_with_the_first_key_that_failed),
		cmocka_unit_test(a_message_says_what_where_why_and_what_to_do),
		cmocka_unit_test(who_has_no_keys_is_not_told_to_check_them),
		cmocka_unit_test(a_web_page_is_called_one),
		cmocka_unit_test(a_web_page_does_not_say_that_an_object_is_deleted),
		cmocka_unit_test(an_answer_in_plain_text_is_told_from_a_bad_certificate),
		cmocka_unit_test(what_exists_already_is_not_called_changed_by_someone),
		cmocka_unit_test(nothing_a_stranger_says_reaches_a_terminal_unescaped),
		cmocka_unit_test(long_names_and_words_leave_room_for_the_advice),
		cmocka_unit_test(escaping_never_cuts_a_character),
		cmocka_unit_test(a_broken_attempt_is_classified_and_told),
		cmocka_unit_test(a_request_can_be_answered_again_after_rearming),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
