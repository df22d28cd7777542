/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tests of s3/wire_build.c and wire_compose.c: what every operation sends. */
#include "s3/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/bucket.h"
#include "s3/sigv4.h"

#define NOW    1369353600 /* 2013-05-24T00:00:00Z, the day of the examples in Amazon's documentation */
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

static struct s3_bucket path_style = {
	.label = (char *)"src",
	.bucket = (char *)"photos",
	.endpoint = (char *)"http://127.0.0.1:7171",
	.scheme = (char *)"http",
	.host = (char *)"127.0.0.1:7171",
	.base_path = (char *)"/base/photos",
	.region = (char *)"us-east-1",
};
static struct s3_bucket virtual_host = {
	.label = (char *)"aws",
	.bucket = (char *)"examplebucket",
	.endpoint = (char *)"https://s3.amazonaws.com",
	.scheme = (char *)"https",
	.host = (char *)"examplebucket.s3.amazonaws.com",
	.base_path = (char *)"",
	.region = (char *)"us-east-1",
};
static struct s3_bucket anonymous = {
	.label = (char *)"open",
	.bucket = (char *)"open",
	.endpoint = (char *)"http://h",
	.scheme = (char *)"http",
	.host = (char *)"h",
	.base_path = (char *)"/open",
	.region = (char *)"us-east-1",
	.anonymous = true,
};

static int make_signers(void **state)
{
	path_style.signer = sigv4_signer_new("AKIAIOSFODNN7EXAMPLE", SECRET, "us-east-1", "s3");
	virtual_host.signer = sigv4_signer_new("AKIAIOSFODNN7EXAMPLE", SECRET, "us-east-1", "s3");
	return path_style.signer && virtual_host.signer ? 0 : -1;
}

static int free_signers(void **state)
{
	sigv4_signer_free(path_style.signer);
	sigv4_signer_free(virtual_host.signer);
	return 0;
}

/* The value behind "NAME: ", "" for "NAME;", NULL when there is no such line. */
static const char *header(const struct wire_request *w, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; w->headers[i]; i++) {
		const char *line = w->headers[i];

		if (!strncmp(line, name, len) && line[len] == ':' && line[len + 1] == ' ')
			return line + len + 2;
		if (!strncmp(line, name, len) && line[len] == ';')
			return "";
	}
	return NULL;
}

static bool has_line(const struct wire_request *w, const char *text)
{
	for (size_t i = 0; w->headers[i]; i++)
		if (!strcmp(w->headers[i], text))
			return true;
	return false;
}

static void assert_header(const struct wire_request *w, const char *name, const char *value)
{
	const char *got = header(w, name);

	if (!value) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	assert_string_equal(got, value);
}

static struct s3_request *new_request(enum s3_op op, const char *key)
{
	struct s3_request *r = s3_request_new(op, &path_style, key);

	assert_non_null(r);
	return r;
}

/* Builds and frees R; the caller frees W. */
static void build(struct s3_request *r, struct wire_request *w)
{
	assert_int_equal(wire_build(r, NOW, w), 0);
	for (size_t i = 0; i < w->header_count; i++)
		assert_non_null(w->headers[i]);
	assert_null(w->headers[w->header_count]);
	assert_true(has_line(w, "Expect:"));
	s3_request_free(r);
}

static void assert_invalid(struct s3_request *r)
{
	struct wire_request w;

	assert_int_equal(wire_build(r, NOW, &w), -EINVAL);
	assert_null(w.url);
	assert_null(w.headers);
	assert_null(w.body);
	s3_request_free(r);
}

static void a_ranged_get_is_signed_as_in_the_documentation(void **state)
{
	struct s3_request *r = s3_request_new(S3_OP_GET, &virtual_host, "test.txt");
	struct wire_request w;

	r->length_bytes = 10;
	build(r, &w);
	assert_string_equal(w.method, "GET");
	assert_string_equal(w.url, "https://examplebucket.s3.amazonaws.com/test.txt");
	assert_header(&w, "range", "bytes=0-9");
	assert_header(&w, "x-amz-date", "20130524T000000Z");
	assert_header(&w, "x-amz-content-sha256", SIGV4_EMPTY_SHA256);
	assert_header(&w, "authorization",
		      "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
		      "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
		      "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	assert_header(&w, "host", NULL);
	wire_request_clear(&w);
}

static void ranges_are_written_as_asked(void **state)
{
	static const struct {
		uint64_t offset, length;
		const char *range;
	} cases[] = {
		{0, 0, NULL},
		{5, 0, "bytes=5-"},
		{0, 1, "bytes=0-0"},
		{7, 3, "bytes=7-9"},
		{UINT64_MAX - 1, 2, "bytes=18446744073709551614-18446744073709551615"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct s3_request *r = new_request(S3_OP_GET, "k");
		struct wire_request w;

		r->offset_bytes = cases[i].offset;
		r->length_bytes = cases[i].length;
		r->if_match = strdup("\"e\"");
		build(r, &w);
		assert_header(&w, "range", cases[i].range);
		assert_header(&w, "if-match", "\"e\"");
		wire_request_clear(&w);
	}
}

static void a_range_beyond_64_bits_is_invalid(void **state)
{
	struct s3_request *r = new_request(S3_OP_GET, "k");

	r->offset_bytes = UINT64_MAX;
	r->length_bytes = 2;
	assert_invalid(r);
}

static void keys_are_encoded_once_and_keep_their_slashes(void **state)
{
	static const struct {
		const char *key, *url;
	} cases[] = {
		{"a/b", "http://127.0.0.1:7171/base/photos/a/b"},
		{"/a//b/", "http://127.0.0.1:7171/base/photos//a//b/"},
		{"../x/./y", "http://127.0.0.1:7171/base/photos/../x/./y"},
		{"a b+c?d=e&f#g%41", "http://127.0.0.1:7171/base/photos/a%20b%2Bc%3Fd%3De%26f%23g%2541"},
		{"\xc3\xa4\xff\n", "http://127.0.0.1:7171/base/photos/%C3%A4%FF%0A"},
		{"~-._*'()", "http://127.0.0.1:7171/base/photos/~-._%2A%27%28%29"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wire_request w;

		build(new_request(S3_OP_HEAD, cases[i].key), &w);
		assert_string_equal(w.method, "HEAD");
		assert_string_equal(w.url, cases[i].url);
		wire_request_clear(&w);
	}
}

static void a_bucket_has_a_path_in_both_styles(void **state)
{
	struct wire_request w;

	build(s3_request_new(S3_OP_HEAD_BUCKET, &path_style, NULL), &w);
	assert_string_equal(w.method, "HEAD");
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos");
	wire_request_clear(&w);
	build(s3_request_new(S3_OP_HEAD_BUCKET, &virtual_host, NULL), &w);
	assert_string_equal(w.url, "https://examplebucket.s3.amazonaws.com/");
	wire_request_clear(&w);
}

static void a_listing_asks_for_encoded_keys(void **state)
{
	struct s3_request *r = new_request(S3_OP_LIST, NULL);
	struct wire_request w;

	r->prefix = strdup("a b/");
	r->delimiter = strdup("/");
	r->token = strdup("1u+/=");
	r->max_keys = 7;
	build(r, &w);
	assert_string_equal(w.method, "GET");
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos?list-type=2&encoding-type=url&prefix=a%20b%2F"
				   "&delimiter=%2F&continuation-token=1u%2B%2F%3D&max-keys=7");
	wire_request_clear(&w);

	r = new_request(S3_OP_LIST, NULL);
	r->prefix = strdup("");
	build(r, &w);
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos?list-type=2&encoding-type=url");
	wire_request_clear(&w);
}

static void a_put_streams_its_segments_unsigned(void **state)
{
	struct s3_request *r = new_request(S3_OP_PUT, "k");
	struct wire_request w;

	r->segments = calloc(2, sizeof(*r->segments));
	r->segments[0] = (struct s3_segment){.kind = S3_SEGMENT_MEMORY, .length_bytes = 3, .memory = "abc"};
	r->segments[1] = (struct s3_segment){.kind = S3_SEGMENT_ZERO, .length_bytes = 3};
	r->segment_count = 2;
	r->if_none_match = strdup("*");
	s3_headers_set(&r->headers, "content-type", "text/plain");
	s3_headers_set(&r->headers, "x-amz-meta-name", "  M\xc3\xbcller  ");
	s3_headers_set(&r->headers, "x-amz-meta-empty", "");
	s3_headers_set(&r->headers, "x-amz-storage-class", "STANDARD_IA");
	s3_headers_set(&r->headers, "x-amz-tagging-count", "2");
	build(r, &w);
	assert_string_equal(w.method, "PUT");
	assert_true(w.has_segments);
	assert_null(w.body);
	assert_header(&w, "x-amz-content-sha256", SIGV4_UNSIGNED_PAYLOAD);
	assert_header(&w, "if-none-match", "*");
	assert_header(&w, "content-type", "text/plain");
	assert_header(&w, "x-amz-meta-name", "  M\xc3\xbcller  ");
	assert_true(has_line(&w, "x-amz-meta-empty;"));
	assert_header(&w, "x-amz-storage-class", "STANDARD_IA");
	assert_header(&w, "x-amz-tagging-count", NULL);
	assert_false(has_line(&w, "Content-Type:"));
	assert_non_null(strstr(header(&w, "authorization"),
			       "SignedHeaders=content-type;host;if-none-match;x-amz-content-sha256;x-amz-date;"
			       "x-amz-meta-empty;x-amz-meta-name;x-amz-storage-class,"));
	wire_request_clear(&w);
}

static void an_empty_put_says_so_in_its_hash(void **state)
{
	struct wire_request w;

	build(new_request(S3_OP_PUT, "k"), &w);
	assert_false(w.has_segments);
	assert_null(w.body);
	assert_header(&w, "x-amz-content-sha256", SIGV4_EMPTY_SHA256);
	/* libcurl must not make up a type. */
	assert_true(has_line(&w, "Content-Type:"));
	wire_request_clear(&w);
}

static void header_values_with_line_breaks_are_refused(void **state)
{
	static const char *const values[] = {"a\r\nx-evil: 1", "a\n", "\r"};
	struct s3_request *r;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		r = new_request(S3_OP_PUT, "k");
		s3_headers_set(&r->headers, "x-amz-meta-a", values[i]);
		assert_invalid(r);
		r = new_request(S3_OP_GET, "k");
		r->if_match = strdup(values[i]);
		assert_invalid(r);
		r = new_request(S3_OP_COPY, "k");
		r->src_bucket = &path_style;
		r->src_key = strdup("s");
		r->src_etag = strdup(values[i]);
		assert_invalid(r);
	}
}

static void header_names_that_are_no_names_or_not_the_objects_are_refused(void **state)
{
	static const char *const names[] = {
		"a b", "a:", "A", "a\n", "\xc3\xa4", "host", "authorization", "content-length", "x-amz-date", "range"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct s3_request *r = new_request(S3_OP_UPLOAD_CREATE, "k");

		s3_headers_set(&r->headers, names[i], "v");
		assert_invalid(r);
	}
}

static void the_number_of_headers_is_bounded(void **state)
{
	struct s3_request *r = new_request(S3_OP_PUT, "k");
	char name[32];

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "x-amz-meta-%d", i);
		s3_headers_set(&r->headers, name, "v");
	}
	assert_invalid(r);
}

static void a_copy_names_its_source_and_pins_it(void **state)
{
	struct s3_request *r = new_request(S3_OP_COPY, "to");
	struct wire_request w;

	r->src_bucket = &virtual_host;
	r->src_key = strdup("d/a b+\xc3\xa4");
	r->src_etag = strdup("\"e\"");
	s3_headers_set(&r->headers, "content-type", "text/plain");
	build(r, &w);
	assert_string_equal(w.method, "PUT");
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos/to");
	assert_header(&w, "x-amz-copy-source", "/examplebucket/d/a%20b%2B%C3%A4");
	assert_header(&w, "x-amz-copy-source-if-match", "\"e\"");
	assert_header(&w, "x-amz-metadata-directive", "COPY");
	assert_header(&w, "content-type", NULL);
	assert_header(&w, "x-amz-content-sha256", SIGV4_EMPTY_SHA256);
	assert_false(w.has_segments);
	wire_request_clear(&w);
}

static void a_copy_can_replace_the_headers(void **state)
{
	struct s3_request *r = new_request(S3_OP_COPY, "to");
	struct wire_request w;

	r->src_bucket = &path_style;
	r->src_key = strdup("from");
	r->replace_headers = true;
	s3_headers_set(&r->headers, "x-amz-meta-mtime", "1.5");
	build(r, &w);
	assert_header(&w, "x-amz-metadata-directive", "REPLACE");
	assert_header(&w, "x-amz-meta-mtime", "1.5");
	assert_header(&w, "x-amz-copy-source-if-match", NULL);
	wire_request_clear(&w);
}

static void multipart_operations_say_which_upload_and_part(void **state)
{
	struct s3_request *r = new_request(S3_OP_UPLOAD_CREATE, "k");
	struct wire_request w;

	s3_headers_set(&r->headers, "content-type", "a/b");
	build(r, &w);
	assert_string_equal(w.method, "POST");
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos/k?uploads");
	assert_header(&w, "content-type", "a/b");
	wire_request_clear(&w);

	r = new_request(S3_OP_UPLOAD_PART, "k");
	r->upload_id = strdup("u/1");
	r->part_number = 10000;
	build(r, &w);
	assert_string_equal(w.method, "PUT");
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos/k?partNumber=10000&uploadId=u%2F1");
	wire_request_clear(&w);

	r = new_request(S3_OP_UPLOAD_PART_COPY, "k");
	r->upload_id = strdup("u");
	r->part_number = 2;
	r->src_bucket = &path_style;
	r->src_key = strdup("s");
	r->src_etag = strdup("\"e\"");
	r->src_offset_bytes = 100;
	r->length_bytes = 50;
	build(r, &w);
	assert_header(&w, "x-amz-copy-source", "/photos/s");
	assert_header(&w, "x-amz-copy-source-range", "bytes=100-149");
	assert_header(&w, "x-amz-copy-source-if-match", "\"e\"");
	assert_header(&w, "x-amz-metadata-directive", NULL);
	wire_request_clear(&w);

	r = new_request(S3_OP_UPLOAD_ABORT, "k");
	r->upload_id = strdup("u");
	build(r, &w);
	assert_string_equal(w.method, "DELETE");
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos/k?uploadId=u");
	wire_request_clear(&w);

	r = new_request(S3_OP_LIST_PARTS, "k");
	r->upload_id = strdup("u");
	r->token = strdup("1000");
	r->max_keys = 10;
	build(r, &w);
	assert_string_equal(w.method, "GET");
	assert_string_equal(w.url,
			    "http://127.0.0.1:7171/base/photos/k?uploadId=u&part-number-marker=1000&max-parts=10");
	wire_request_clear(&w);
}

static struct s3_request *new_complete(void)
{
	struct s3_request *r = new_request(S3_OP_UPLOAD_COMPLETE, "k");

	r->upload_id = strdup("u");
	r->parts = calloc(2, sizeof(*r->parts));
	r->parts[0] = (struct s3_part){.number = 1, .etag = "\"a\""};
	r->parts[1] = (struct s3_part){.number = 3, .etag = "\"b\""};
	r->part_count = 2;
	return r;
}

static void completing_sends_the_parts_and_their_hash(void **state)
{
	struct s3_request *r = new_complete();
	struct wire_request w;
	char hash[65];

	r->if_none_match = strdup("*");
	build(r, &w);
	assert_string_equal(w.method, "POST");
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos/k?uploadId=u");
	assert_string_equal(w.body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
				    "<Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag></Part>"
				    "<Part><PartNumber>3</PartNumber><ETag>&quot;b&quot;</ETag></Part>"
				    "</CompleteMultipartUpload>");
	assert_int_equal(w.body_bytes, strlen(w.body));
	sigv4_sha256_hex(w.body, w.body_bytes, hash);
	assert_header(&w, "x-amz-content-sha256", hash);
	assert_header(&w, "content-type", "application/xml");
	assert_header(&w, "if-none-match", "*");
	assert_false(w.has_segments);
	wire_request_clear(&w);
}

static void parts_must_ascend_and_have_etags(void **state)
{
	struct s3_request *r = new_complete();

	r->parts[1].number = 1;
	assert_invalid(r);
	r = new_complete();
	r->parts[1].number = 10001;
	assert_invalid(r);
	r = new_complete();
	r->parts[0].etag[0] = '\0';
	assert_invalid(r);
	r = new_complete();
	r->part_count = 0;
	assert_invalid(r);
}

static struct s3_request *new_delete_many(size_t count)
{
	struct s3_request *r = new_request(S3_OP_DELETE_MANY, NULL);

	r->keys = calloc(count ? count : 1, sizeof(*r->keys));
	for (size_t i = 0; i < count; i++)
		r->keys[i] = strdup("a&b");
	r->key_count = count;
	return r;
}

static void deleting_many_sends_the_keys_and_their_md5(void **state)
{
	struct wire_request w;

	build(new_delete_many(1), &w);
	assert_string_equal(w.method, "POST");
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos?delete");
	assert_string_equal(w.body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>"
				    "<Object><Key>a&amp;b</Key></Object></Delete>");
	assert_header(&w, "content-md5", "GK40nFHp0vr/BL57cNl+Ew==");
	assert_header(&w, "content-type", "application/xml");
	assert_non_null(strstr(header(&w, "authorization"), "SignedHeaders=content-md5;content-type;host;"));
	wire_request_clear(&w);
	build(new_delete_many(1000), &w);
	wire_request_clear(&w);
}

static void deleting_none_too_many_or_what_xml_cannot_carry_is_invalid(void **state)
{
	struct s3_request *r;

	assert_invalid(new_delete_many(0));
	assert_invalid(new_delete_many(1001));
	r = new_delete_many(2);
	r->keys[1][0] = '\x01';
	assert_invalid(r);
}

static void a_page_of_uploads_goes_on_behind_key_and_id(void **state)
{
	struct s3_request *r = new_request(S3_OP_LIST_UPLOADS, NULL);
	struct wire_request w;

	build(r, &w);
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos?uploads&encoding-type=url");
	wire_request_clear(&w);

	r = new_request(S3_OP_LIST_UPLOADS, NULL);
	r->prefix = strdup("p/");
	r->token = strdup("a\nb\nu9");
	r->max_keys = 5;
	build(r, &w);
	assert_string_equal(w.url,
			    "http://127.0.0.1:7171/base/photos?uploads&encoding-type=url&prefix=p%2F&max-uploads=5"
			    "&key-marker=a%0Ab&upload-id-marker=u9");
	wire_request_clear(&w);

	r = new_request(S3_OP_LIST_UPLOADS, NULL);
	r->token = strdup("no line break");
	assert_invalid(r);
}

static void what_an_operation_lacks_is_invalid(void **state)
{
	static const enum s3_op need_key[] = {S3_OP_HEAD,
					      S3_OP_GET,
					      S3_OP_PUT,
					      S3_OP_COPY,
					      S3_OP_DELETE,
					      S3_OP_UPLOAD_CREATE,
					      S3_OP_UPLOAD_PART,
					      S3_OP_UPLOAD_PART_COPY,
					      S3_OP_UPLOAD_COMPLETE,
					      S3_OP_UPLOAD_ABORT,
					      S3_OP_LIST_PARTS};
	struct s3_request *r;

	for (size_t i = 0; i < sizeof(need_key) / sizeof(need_key[0]); i++) {
		/* An empty key would make it an operation on the bucket. */
		assert_invalid(new_request(need_key[i], NULL));
		assert_invalid(new_request(need_key[i], ""));
	}
	assert_invalid(new_request(S3_OP_COPY, "k"));
	assert_invalid(new_request(S3_OP_UPLOAD_ABORT, "k"));
	assert_invalid(new_request(S3_OP_LIST_PARTS, "k"));
	r = new_request(S3_OP_UPLOAD_PART, "k");
	r->upload_id = strdup("u");
	assert_invalid(r);
	r = new_request(S3_OP_UPLOAD_PART, "k");
	r->part_number = 1;
	assert_invalid(r);
	r = new_request(S3_OP_UPLOAD_PART_COPY, "k");
	r->upload_id = strdup("u");
	r->part_number = 1;
	r->src_bucket = &path_style;
	r->src_key = strdup("s");
	r->src_offset_bytes = 1; /* "from 1 to the end" cannot be said */
	assert_invalid(r);
	r = new_request(S3_OP_PUT, "k");
	r->segments = calloc(1, sizeof(*r->segments));
	r->segments[0] = (struct s3_segment){.kind = S3_SEGMENT_MEMORY, .length_bytes = 1};
	r->segment_count = 1;
	assert_invalid(r);
	assert_invalid(s3_request_new(S3_OP_LIST, NULL, NULL));
}

static void an_anonymous_request_is_not_signed(void **state)
{
	struct wire_request w;

	build(s3_request_new(S3_OP_GET, &anonymous, "k"), &w);
	assert_string_equal(w.url, "http://h/open/k");
	assert_int_equal(w.header_count, 1);
	assert_header(&w, "authorization", NULL);
	assert_header(&w, "x-amz-date", NULL);
	wire_request_clear(&w);
}

static void a_session_token_is_sent_and_signed(void **state)
{
	struct s3_bucket with_token = path_style;
	struct wire_request w;

	with_token.session_token = (char *)"tok/en==";
	build(s3_request_new(S3_OP_DELETE, &with_token, "k"), &w);
	assert_string_equal(w.method, "DELETE");
	assert_header(&w, "x-amz-security-token", "tok/en==");
	assert_non_null(strstr(header(&w, "authorization"), "x-amz-date;x-amz-security-token,"));
	assert_null(strstr(w.url, "tok"));
	wire_request_clear(&w);
}

static void the_secret_is_nowhere(void **state)
{
	struct wire_request w;

	build(new_complete(), &w);
	assert_null(strstr(w.url, SECRET));
	for (size_t i = 0; i < w.header_count; i++)
		assert_null(strstr(w.headers[i], SECRET));
	wire_request_clear(&w);
}

static void a_segment_is_fetched_by_range_and_etag(void **state)
{
	const struct s3_segment seg = {
		.kind = S3_SEGMENT_OBJECT,
		.length_bytes = 8,
		.src_bucket = &path_style,
		.src_key = "s",
		.src_etag = "\"e\"",
		.src_offset_bytes = 16,
	};
	struct s3_segment empty = seg;
	struct wire_request w;

	assert_int_equal(wire_build_segment_get(&seg, NOW, &w), 0);
	assert_string_equal(w.method, "GET");
	assert_string_equal(w.url, "http://127.0.0.1:7171/base/photos/s");
	assert_header(&w, "range", "bytes=16-23");
	assert_header(&w, "if-match", "\"e\"");
	wire_request_clear(&w);
	/* A range of nothing cannot be asked for. */
	empty.length_bytes = 0;
	assert_int_equal(wire_build_segment_get(&empty, NOW, &w), -EINVAL);
	wire_request_clear(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ranged_get_is_signed_as_in_the_documentation),
		cmocka_unit_test(ranges_are_written_as_asked),
		cmocka_unit_test(a_range_beyond_64_bits_is_invalid),
		cmocka_unit_test(keys_are_encoded_once_and_keep_their_slashes),
		cmocka_unit_test(a_bucket_has_a_path_in_both_styles),
		cmocka_unit_test(a_listing_asks_for_encoded_keys),
		cmocka_unit_test(a_put_streams_its_segments_unsigned),
		cmocka_unit_test(an_empty_put_says_so_in_its_hash),
		cmocka_unit_test(header_values_with_line_breaks_are_refused),
		cmocka_unit_test(header_names_that_are_no_names_or_not_the_objects_are_refused),
		cmocka_unit_test(the_number_of_headers_is_bounded),
		cmocka_unit_test(a_copy_names_its_source_and_pins_it),
		cmocka_unit_test(a_copy_can_replace_the_headers),
		cmocka_unit_test(multipart_operations_say_which_upload_and_part),
		cmocka_unit_test(completing_sends_the_parts_and_their_hash),
		cmocka_unit_test(parts_must_ascend_and_have_etags),
		cmocka_unit_test(deleting_many_sends_the_keys_and_their_md5),
		cmocka_unit_test(deleting_none_too_many_or_what_xml_cannot_carry_is_invalid),
		cmocka_unit_test(a_page_of_uploads_goes_on_behind_key_and_id),
		cmocka_unit_test(what_an_operation_lacks_is_invalid),
		cmocka_unit_test(an_anonymous_request_is_not_signed),
		cmocka_unit_test(a_session_token_is_sent_and_signed),
		cmocka_unit_test(the_secret_is_nowhere),
		cmocka_unit_test(a_segment_is_fetched_by_range_and_etag),
	};

	return cmocka_run_group_tests(tests, make_signers, free_signers);
}
