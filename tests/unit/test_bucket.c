/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Buckets: where a configuration points to, and what is refused with which sentence. */
#include "s3/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define AUTOMATIC (-1)

static struct s3_bucket *make(const struct s3_bucket_config *config)
{
	char err[256] = "";
	struct s3_bucket *b = s3_bucket_new(config, err, sizeof(err));

	if (!b)
		fail_msg("%s", err);
	return b;
}

static void places_follow_endpoint_and_style(void **state)
{
	static const struct {
		const char *endpoint, *region, *bucket;
		int path_style;
		const char *want_endpoint, *want_host, *want_base;
	} table[] = {
		{NULL, NULL, "photos", AUTOMATIC, "https://s3.us-east-1.amazonaws.com",
		 "photos.s3.us-east-1.amazonaws.com", ""},
		{"", "eu-central-1", "photos", AUTOMATIC, "https://s3.eu-central-1.amazonaws.com",
		 "photos.s3.eu-central-1.amazonaws.com", ""},
		{NULL, "cn-north-1", "photos", AUTOMATIC, "https://s3.cn-north-1.amazonaws.com.cn",
		 "photos.s3.cn-north-1.amazonaws.com.cn", ""},
		{NULL, NULL, "with.dots", AUTOMATIC, "https://s3.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com",
		 "/with.dots"},
		{NULL, NULL, "Upper_case", AUTOMATIC, "https://s3.us-east-1.amazonaws.com",
		 "s3.us-east-1.amazonaws.com", "/Upper_case"},
		{NULL, NULL, "photos", 1, "https://s3.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com",
		 "/photos"},
		{"http://localhost:9000", NULL, "photos", AUTOMATIC, "http://localhost:9000", "localhost:9000",
		 "/photos"},
		{"http://LocalHost:80/", NULL, "b", AUTOMATIC, "http://localhost", "localhost", "/b"},
		{"HTTPS://s3.example.org:443", NULL, "b", AUTOMATIC, "https://s3.example.org", "s3.example.org", "/b"},
		{"https://s3.example.org:80", NULL, "b", AUTOMATIC, "https://s3.example.org:80", "s3.example.org:80",
		 "/b"},
		{"http://s3.example.org:443", NULL, "b", 0, "http://s3.example.org:443", "b.s3.example.org:443", ""},
		{"https://s3.example.org/base/x%20y//", NULL, "b", AUTOMATIC, "https://s3.example.org",
		 "s3.example.org", "/base/x%20y/b"},
		{"https://s3.example.org/base", NULL, "b.c", 0, "https://s3.example.org", "b.c.s3.example.org",
		 "/base"},
		{"http://[::1]:9000", NULL, "b", AUTOMATIC, "http://[::1]:9000", "[::1]:9000", "/b"},
		{"http://[FE80::A]", NULL, "b", AUTOMATIC, "http://[fe80::a]", "[fe80::a]", "/b"},
		{"http://127.0.0.1:9000", NULL, "b", AUTOMATIC, "http://127.0.0.1:9000", "127.0.0.1:9000", "/b"},
		{"http://notamazonaws.com", NULL, "b", AUTOMATIC, "http://notamazonaws.com", "notamazonaws.com", "/b"},
		{"http://h", NULL, "b\xc3\xa4?", AUTOMATIC, "http://h", "h", "/b%C3%A4%3F"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct s3_bucket_config config = {
			.name = "label",
			.bucket = table[i].bucket,
			.endpoint = table[i].endpoint,
			.region = table[i].region,
			.path_style = table[i].path_style,
		};
		struct s3_bucket *b = make(&config);

		assert_string_equal(s3_bucket_endpoint(b), table[i].want_endpoint);
		assert_string_equal(b->host, table[i].want_host);
		assert_string_equal(b->base_path, table[i].want_base);
		assert_string_equal(b->region, table[i].region ? table[i].region : "us-east-1");
		assert_memory_equal(b->endpoint, b->scheme, strlen(b->scheme));
		assert_string_equal(s3_bucket_label(b), "label");
		assert_string_equal(s3_bucket_name(b), table[i].bucket);
		s3_bucket_free(b);
	}
	s3_bucket_free(NULL);
}

#define SECRET "do-not-print-me"

static void bad_values_are_refused_by_name(void **state)
{
	static const struct {
		struct s3_bucket_config config;
		const char *says;
	} table[] = {
		{{.bucket = NULL}, "name of the S3 bucket is missing"},
		{{.bucket = ""}, "name of the S3 bucket is missing"},
		{{.bucket = "a/b"}, "must not contain \"/\""},
		{{.bucket = ".."}, "cannot be the name"},
		{{.bucket = "a\nb"}, "cannot be the name"},
		{{.bucket = "b", .endpoint = "s3.example.org"}, "must begin with http:// or https://"},
		{{.bucket = "b", .endpoint = "ftp://h"}, "must begin with http:// or https://"},
		{{.bucket = "b", .endpoint = "http://"}, "no host name"},
		{{.bucket = "b", .endpoint = "http://:9000"}, "no host name"},
		{{.bucket = "b", .endpoint = "http:///x"}, "no host name"},
		{{.bucket = "b", .endpoint = "http://user:" SECRET "@h"}, "user or password"},
		{{.bucket = "b", .endpoint = "http://user:" SECRET "/x@h"}, "user or password"},
		{{.bucket = "b", .endpoint = "http://h?key=" SECRET}, "query"},
		{{.bucket = "b", .endpoint = "http://h/#" SECRET}, "fragment"},
		{{.bucket = "b", .endpoint = "http://h:"}, "port"},
		{{.bucket = "b", .endpoint = "http://h:0"}, "port"},
		{{.bucket = "b", .endpoint = "http://h:65536"}, "port"},
		{{.bucket = "b", .endpoint = "http://h:80a"}, "port"},
		{{.bucket = "b", .endpoint = "http://[::1]:x"}, "port"},
		{{.bucket = "b", .endpoint = "http://::1"}, "neither a name nor an address"},
		{{.bucket = "b", .endpoint = "http://[::1"}, "neither a name nor an address"},
		{{.bucket = "b", .endpoint = "http://[::1]9"}, "neither a name nor an address"},
		{{.bucket = "b", .endpoint = "http://[h]"}, "neither a name nor an address"},
		{{.bucket = "b", .endpoint = "http://h h"}, "neither a name nor an address"},
		{{.bucket = "b", .endpoint = "http://-h"}, "neither a name nor an address"},
		{{.bucket = "b", .endpoint = "http://h..x"}, "neither a name nor an address"},
		{{.bucket = "b", .endpoint = "http://h/a b"}, "percent-encoded"},
		{{.bucket = "b", .endpoint = "http://h/a%2"}, "percent-encoded"},
		{{.bucket = "b", .region = "us east"}, "region \"us east\""},
		{{.bucket = "b", .region = "x/y"}, "region \"x/y\""},
		{{.bucket = "b", .access_key_id = "AK"}, "secret_access_key is not"},
		{{.bucket = "b", .secret_access_key = SECRET}, "access_key_id is not"},
		{{.bucket = "b", .session_token = SECRET}, "session_token is set but"},
		{{.bucket = "b", .access_key_id = "A K", .secret_access_key = SECRET}, "access_key_id contains"},
		{{.bucket = "b", .access_key_id = "AK", .secret_access_key = SECRET "\r"},
		 "secret_access_key contains"},
		{{.bucket = "b", .access_key_id = "AK", .secret_access_key = SECRET, .session_token = SECRET "\n"},
		 "session_token contains"},
		{{.bucket = "B_x", .path_style = 0}, "cannot be part of a host name"},
		{{.bucket = "b", .endpoint = "http://127.0.0.1", .path_style = 0}, "IP address"},
		{{.bucket = "b", .endpoint = "http://[::1]", .path_style = 0}, "IP address"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct s3_bucket_config config = table[i].config;
		char err[256] = "";

		config.name = "archive";
		assert_null(s3_bucket_new(&config, err, sizeof(err)));
		assert_memory_equal(err, "bucket \"archive\": ", 18);
		if (!strstr(err, table[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err, table[i].says);
		assert_null(strstr(err, SECRET));
	}
}

static void a_small_error_buffer_is_respected(void **state)
{
	struct s3_bucket_config config = {.name = "a-label-that-is-longer-than-the-buffer", .bucket = ""};
	char err[24];

	for (size_t size = 1; size <= sizeof(err); size++) {
		memset(err, 'x', sizeof(err));
		assert_null(s3_bucket_new(&config, err, size));
		assert_int_equal(strlen(err), size - 1);
	}
}

static void keys_decide_between_signed_and_anonymous(void **state)
{
	struct s3_bucket_config config = {.bucket = "b", .endpoint = "http://h", .path_style = AUTOMATIC};
	struct s3_bucket *b = make(&config);

	assert_true(b->anonymous);
	assert_null(b->signer);
	assert_string_equal(s3_bucket_label(b), "b");
	s3_bucket_free(b);

	config.access_key_id = "AK";
	config.secret_access_key = SECRET;
	config.session_token = "token";
	config.ca_file = "/ca.pem";
	b = make(&config);
	assert_false(b->anonymous);
	assert_string_equal(sigv4_signer_access_key_id(b->signer), "AK");
	assert_string_equal(b->session_token, "token");
	assert_string_equal(b->ca_file, "/ca.pem");
	s3_bucket_free(b);
}

static void only_one_account_can_copy_by_itself(void **state)
{
	static const struct s3_bucket_config base = {
		.bucket = "one",
		.endpoint = "http://h:80",
		.region = "r",
		.access_key_id = "AK",
		.secret_access_key = SECRET,
		.path_style = AUTOMATIC,
	};
	static const struct {
		const char *bucket, *endpoint, *region, *id;
		int path_style;
		bool same;
	} table[] = {
		{"two", "http://h", "r", "AK", AUTOMATIC, true},
		{"two", "http://H/", "r", "AK", AUTOMATIC, true},
		{"two", "http://h", "r", "AK", 0, true},
		{"two", "https://h", "r", "AK", AUTOMATIC, false},
		{"two", "http://h:81", "r", "AK", AUTOMATIC, false},
		{"two", "http://g", "r", "AK", AUTOMATIC, false},
		{"two", "http://h", "q", "AK", AUTOMATIC, false},
		{"two", "http://h", "r", "AL", AUTOMATIC, false},
		{"two", "http://h", "r", NULL, AUTOMATIC, false},
		{"one", "http://h/other", "r", "AK", AUTOMATIC, false},
		{"one", "http://h/one", "r", "AK", 0, false},
	};
	struct s3_bucket *a = make(&base);

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct s3_bucket_config config = base;
		struct s3_bucket *b;

		config.bucket = table[i].bucket;
		config.endpoint = table[i].endpoint;
		config.region = table[i].region;
		config.access_key_id = table[i].id;
		config.secret_access_key = table[i].id ? SECRET : NULL;
		config.path_style = table[i].path_style;
		b = make(&config);
		assert_int_equal(s3_bucket_same_account(a, b), table[i].same);
		assert_int_equal(s3_bucket_same_account(b, a), table[i].same);
		assert_true(s3_bucket_same_account(b, b));
		s3_bucket_free(b);
	}
	s3_bucket_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_follow_endpoint_and_style),
		cmocka_unit_test(bad_values_are_refused_by_name),
		cmocka_unit_test(a_small_error_buffer_is_respected),
		cmocka_unit_test(keys_decide_between_signed_and_anonymous),
		cmocka_unit_test(only_one_account_can_copy_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
