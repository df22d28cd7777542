/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tests of s3/error.c: every way an attempt can end has a class, and every class has what callers need. */
#include "s3/error.h"

#include <curl/curl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void every_class_has_a_name_and_an_errno(void **state)
{
	for (int e = 0; e < S3_ERR__COUNT; e++) {
		assert_non_null(s3_error_name((enum s3_error)e));
		assert_true(s3_error_name((enum s3_error)e)[0] != '\0');
		if (e == S3_OK)
			assert_int_equal(s3_error_errno((enum s3_error)e), 0);
		else
			assert_true(s3_error_errno((enum s3_error)e) > 0);
	}
}

static void names_are_distinct(void **state)
{
	for (int a = 0; a < S3_ERR__COUNT; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(s3_error_name((enum s3_error)a), s3_error_name((enum s3_error)b));
}

static void exactly_passing_faults_are_retryable(void **state)
{
	static const enum s3_error retryable[] = {
		S3_ERR_THROTTLED, S3_ERR_SERVER,  S3_ERR_NAME,     S3_ERR_CONNECT,
		S3_ERR_NETWORK,   S3_ERR_TIMEOUT, S3_ERR_PROTOCOL, S3_ERR_CORRUPT,
	};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(retryable) / sizeof(retryable[0]); i++)
		assert_true(s3_error_is_retryable(retryable[i]));
	for (int e = 0; e < S3_ERR__COUNT; e++)
		count += s3_error_is_retryable((enum s3_error)e);
	assert_int_equal(count, sizeof(retryable) / sizeof(retryable[0]));
}

static void programs_get_the_errno_they_know(void **state)
{
	static const struct {
		enum s3_error error;
		int errnum;
	} cases[] = {
		{S3_ERR_NOT_FOUND, ENOENT},    {S3_ERR_NO_BUCKET, ENOENT},
		{S3_ERR_ACCESS, EACCES},       {S3_ERR_CREDENTIALS, EACCES},
		{S3_ERR_PRECONDITION, ESTALE}, {S3_ERR_CONFLICT, EBUSY},
		{S3_ERR_TOO_LARGE, EFBIG},     {S3_ERR_UNSUPPORTED, EOPNOTSUPP},
		{S3_ERR_TIMEOUT, ETIMEDOUT},   {S3_ERR_NO_MEMORY, ENOMEM},
		{S3_ERR_CONNECT, EIO},         {S3_ERR_CANCELLED, EIO},
		{S3_ERR_INVALID, EIO},         {S3_ERR_RANGE, EIO},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(s3_error_errno(cases[i].error), cases[i].errnum);
	/* cp answers these with a busy loop or a slow copy. */
	for (int e = 0; e < S3_ERR__COUNT; e++) {
		assert_int_not_equal(s3_error_errno((enum s3_error)e), EINTR);
		assert_int_not_equal(s3_error_errno((enum s3_error)e), EINVAL);
		assert_int_not_equal(s3_error_errno((enum s3_error)e), EXDEV);
	}
}

static void codes_decide_where_the_status_would_mislead(void **state)
{
	static const struct {
		const char *code;
		enum s3_error error;
	} cases[] = {
		{"NoSuchKey", S3_ERR_NOT_FOUND},
		{"NoSuchBucket", S3_ERR_NO_BUCKET},
		{"NoSuchUpload", S3_ERR_NO_UPLOAD},
		{"SignatureDoesNotMatch", S3_ERR_CREDENTIALS},
		{"ExpiredToken", S3_ERR_CREDENTIALS},
		{"RequestTimeTooSkewed", S3_ERR_CLOCK},
		{"AuthorizationHeaderMalformed", S3_ERR_REGION},
		{"RequestTimeout", S3_ERR_TIMEOUT},
		{"IncompleteBody", S3_ERR_NETWORK},
		{"BadDigest", S3_ERR_CORRUPT},
		{"EntityTooLarge", S3_ERR_TOO_LARGE},
		{"SlowDown", S3_ERR_THROTTLED},
		{"SlowDownWrite", S3_ERR_THROTTLED},
		{"InternalError", S3_ERR_SERVER},
		{"", S3_OK},
		{"nosuchkey", S3_OK},
		{"SomethingNew", S3_OK},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(error_from_code(cases[i].code), cases[i].error);
}

static void every_status_has_a_class(void **state)
{
	static const struct {
		int status;
		enum s3_error error;
	} cases[] = {
		{200, S3_OK},
		{204, S3_OK},
		{206, S3_OK},
		{301, S3_ERR_REGION},
		{307, S3_ERR_REGION},
		{308, S3_ERR_REGION},
		{304, S3_ERR_PRECONDITION},
		{400, S3_ERR_INVALID},
		{401, S3_ERR_CREDENTIALS},
		{403, S3_ERR_ACCESS},
		{404, S3_ERR_NOT_FOUND},
		{405, S3_ERR_UNSUPPORTED},
		{408, S3_ERR_TIMEOUT},
		{409, S3_ERR_CONFLICT},
		{411, S3_ERR_INVALID},
		{412, S3_ERR_PRECONDITION},
		{413, S3_ERR_TOO_LARGE},
		{416, S3_ERR_RANGE},
		{429, S3_ERR_THROTTLED},
		{500, S3_ERR_SERVER},
		{501, S3_ERR_UNSUPPORTED},
		{502, S3_ERR_SERVER},
		{503, S3_ERR_THROTTLED},
		{504, S3_ERR_SERVER},
		{599, S3_ERR_SERVER},
		{0, S3_ERR_PROTOCOL},
		{199, S3_ERR_PROTOCOL},
		{999, S3_ERR_PROTOCOL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(error_from_status(cases[i].status), cases[i].error);
}

static void curl_codes_tell_the_network_from_the_server(void **state)
{
	static const struct {
		int code;
		const char *detail;
		enum s3_error error;
	} cases[] = {
		{CURLE_OK, "", S3_OK},
		{CURLE_COULDNT_RESOLVE_HOST, "", S3_ERR_NAME},
		{CURLE_COULDNT_CONNECT, "", S3_ERR_CONNECT},
		{CURLE_OPERATION_TIMEDOUT, "", S3_ERR_TIMEOUT},
		{CURLE_PARTIAL_FILE, "", S3_ERR_NETWORK},
		{CURLE_GOT_NOTHING, "", S3_ERR_NETWORK},
		{CURLE_SEND_ERROR, "", S3_ERR_NETWORK},
		{CURLE_RECV_ERROR, "", S3_ERR_NETWORK},
		{CURLE_HTTP2_STREAM, "", S3_ERR_NETWORK},
		{CURLE_PEER_FAILED_VERIFICATION, "certificate has expired", S3_ERR_TLS},
		{CURLE_SSL_CACERT_BADFILE, "", S3_ERR_TLS},
		{CURLE_SSL_CONNECT_ERROR, "alert handshake failure", S3_ERR_TLS},
		{CURLE_SSL_CONNECT_ERROR, "OpenSSL SSL_connect: Connection reset by peer", S3_ERR_NETWORK},
		{CURLE_SSL_CONNECT_ERROR, "OpenSSL SSL_connect: SSL_ERROR_SYSCALL", S3_ERR_NETWORK},
		{CURLE_WRITE_ERROR, "", S3_ERR_PROTOCOL},
		{CURLE_WEIRD_SERVER_REPLY, "", S3_ERR_PROTOCOL},
		{CURLE_ABORTED_BY_CALLBACK, "", S3_ERR_CANCELLED},
		{CURLE_OUT_OF_MEMORY, "", S3_ERR_NO_MEMORY},
		{12345, "", S3_ERR_NETWORK},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(error_from_curl(cases[i].code, cases[i].detail), cases[i].error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_class_has_a_name_and_an_errno),
		cmocka_unit_test(names_are_distinct),
		cmocka_unit_test(exactly_passing_faults_are_retryable),
		cmocka_unit_test(programs_get_the_errno_they_know),
		cmocka_unit_test(codes_decide_where_the_status_would_mislead),
		cmocka_unit_test(every_status_has_a_class),
		cmocka_unit_test(curl_codes_tell_the_network_from_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
