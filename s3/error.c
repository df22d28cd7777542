/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Error classes: their names, what programs and people are told, and how every answer is mapped to one. */
#include "s3/error.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

struct class_info {
	const char *name;
	const char *advice;
	int errnum;
	bool retryable;
};

/* File programs know a small set of errno values, and print them. What has no counterpart in a file system is EIO:
 * EINVAL would make cp fall back to reading and writing, EINTR makes it spin, and EHOSTUNREACH or ECANCELED out of
 * write(2) says nothing to anyone. The sentence in s3_result.message says the rest. */
static const struct class_info classes[S3_ERR__COUNT] = {
	[S3_OK] = {"no error", NULL, 0, false},
	[S3_ERR_CANCELLED] = {"cancelled", NULL, EIO, false},
	[S3_ERR_NOT_FOUND] = {"not found", NULL, ENOENT, false},
	[S3_ERR_NO_BUCKET] = {"no such bucket", "check the bucket's name and the endpoint", ENOENT, false},
	/* Not ENOENT: the file exists for the program, only its upload is gone. */
	[S3_ERR_NO_UPLOAD] = {"no such upload", "the server has dropped the upload; it has to start again", EIO, false},
	[S3_ERR_ACCESS] = {"access denied", "check the key pair and its permissions", EACCES, false},
	[S3_ERR_CREDENTIALS] = {"credentials refused", "check the access key, the secret key and the session token",
				EACCES, false},
	[S3_ERR_CLOCK] = {"clocks differ too much", "set the clock of this machine", EACCES, false},
	[S3_ERR_PRECONDITION] = {"precondition failed", "someone else has changed the object; look at it again", ESTALE,
				 false},
	[S3_ERR_CONFLICT] = {"conflict with another operation", "try again later", EBUSY, false},
	/* EREMCHG means something else (a remote address that changed), and no program expects it. */
	[S3_ERR_REGION] = {"wrong region or endpoint", "set region and endpoint to where the bucket lives", EIO, false},
	[S3_ERR_RANGE] = {"range not satisfiable", "the object is shorter than expected; look at it again", EIO, false},
	[S3_ERR_TOO_LARGE] = {"too large", "make the object, its name or its metadata smaller", EFBIG, false},
	[S3_ERR_INVALID] = {"request refused as invalid", NULL, EIO, false},
	[S3_ERR_UNSUPPORTED] = {"not supported by the server", NULL, EOPNOTSUPP, false},
	[S3_ERR_THROTTLED] = {"server asks to slow down", NULL, EIO, true},
	[S3_ERR_SERVER] = {"server error", NULL, EIO, true},
	[S3_ERR_NAME] = {"host name not resolved", "check the endpoint's name and the DNS", EIO, true},
	[S3_ERR_CONNECT] = {"refused connection", "check that the server runs and can be reached", EIO, true},
	[S3_ERR_TLS] = {"TLS failed", "check the endpoint's certificate and ca_file", EIO, false},
	[S3_ERR_NETWORK] = {"connection lost", NULL, EIO, true},
	[S3_ERR_TIMEOUT] = {"timed out", NULL, ETIMEDOUT, true},
	[S3_ERR_PROTOCOL] = {"answer makes no sense", "check that the endpoint is an S3 server", EIO, true},
	[S3_ERR_CORRUPT] = {"data damaged on the way", NULL, EIO, true},
	[S3_ERR_NO_MEMORY] = {"out of memory", NULL, ENOMEM, false},
};

struct code_class {
	const char *code;
	enum s3_error error;
};

/* Codes whose class does not follow from the HTTP status they come with, or that come without one: inside a 200, or in
 * a DeleteResult. */
static const struct code_class codes[] = {
	{"NoSuchKey", S3_ERR_NOT_FOUND},
	{"NoSuchVersion", S3_ERR_NOT_FOUND},
	{"NotFound", S3_ERR_NOT_FOUND},
	{"NoSuchBucket", S3_ERR_NO_BUCKET},
	{"InvalidBucketName", S3_ERR_NO_BUCKET},
	{"NoSuchUpload", S3_ERR_NO_UPLOAD},

	{"AccessDenied", S3_ERR_ACCESS},
	{"AllAccessDisabled", S3_ERR_ACCESS},
	{"AccountProblem", S3_ERR_ACCESS},
	{"InvalidObjectState", S3_ERR_ACCESS},
	{"InvalidPayer", S3_ERR_ACCESS},
	{"MethodNotAllowedByPolicy", S3_ERR_ACCESS},
	{"NotSignedUp", S3_ERR_ACCESS},
	{"ObjectLocked", S3_ERR_ACCESS},
	{"UnauthorizedAccess", S3_ERR_ACCESS},

	{"ExpiredToken", S3_ERR_CREDENTIALS},
	{"InvalidAccessKeyId", S3_ERR_CREDENTIALS},
	{"InvalidClientTokenId", S3_ERR_CREDENTIALS},
	{"InvalidSecurity", S3_ERR_CREDENTIALS},
	{"InvalidToken", S3_ERR_CREDENTIALS},
	{"SignatureDoesNotMatch", S3_ERR_CREDENTIALS},
	{"TokenRefreshRequired", S3_ERR_CREDENTIALS},
	{"Unauthorized", S3_ERR_CREDENTIALS},
	{"XAdminUserNotFound", S3_ERR_CREDENTIALS}, /* versitygw, which sends a 404 with it */

	{"RequestExpired", S3_ERR_CLOCK},
	{"RequestTimeTooSkewed", S3_ERR_CLOCK},

	{"NotModified", S3_ERR_PRECONDITION},
	{"PreconditionFailed", S3_ERR_PRECONDITION},

	{"ConditionalRequestConflict", S3_ERR_CONFLICT},
	{"InvalidBucketState", S3_ERR_CONFLICT},
	/* "Please try again": the server was busy with itself, which is not the caller's conflict. */
	{"OperationAborted", S3_ERR_SERVER},

	{"AuthorizationHeaderMalformed", S3_ERR_REGION},
	{"IllegalLocationConstraintException", S3_ERR_REGION},
	{"IncorrectEndpoint", S3_ERR_REGION},
	{"InvalidRegion", S3_ERR_REGION},
	{"PermanentRedirect", S3_ERR_REGION},
	{"Redirect", S3_ERR_REGION},
	{"TemporaryRedirect", S3_ERR_REGION},

	{"InvalidRange", S3_ERR_RANGE},

	{"EntityTooLarge", S3_ERR_TOO_LARGE},
	{"KeyTooLong", S3_ERR_TOO_LARGE},
	{"KeyTooLongError", S3_ERR_TOO_LARGE},
	{"MaxMessageLengthExceeded", S3_ERR_TOO_LARGE},
	{"MetadataTooLarge", S3_ERR_TOO_LARGE},
	{"RequestHeaderSectionTooLarge", S3_ERR_TOO_LARGE},

	{"MethodNotAllowed", S3_ERR_UNSUPPORTED},
	{"NotImplemented", S3_ERR_UNSUPPORTED},
	{"UnsupportedOperation", S3_ERR_UNSUPPORTED},

	{"BandwidthLimitExceeded", S3_ERR_THROTTLED},
	{"RequestLimitExceeded", S3_ERR_THROTTLED},
	{"RequestThrottled", S3_ERR_THROTTLED},
	{"ServiceUnavailable", S3_ERR_THROTTLED},
	{"SlowDown", S3_ERR_THROTTLED},
	{"SlowDownRead", S3_ERR_THROTTLED},
	{"SlowDownWrite", S3_ERR_THROTTLED},
	{"Throttling", S3_ERR_THROTTLED},
	{"ThrottlingException", S3_ERR_THROTTLED},
	{"TooManyRequests", S3_ERR_THROTTLED},

	{"InternalError", S3_ERR_SERVER},
	{"InternalServerError", S3_ERR_SERVER},
	{"RequestTimeout", S3_ERR_TIMEOUT},
	/* The server missed bytes of the body: the connection's fault, though it comes as a 400. */
	{"IncompleteBody", S3_ERR_NETWORK},

	{"BadDigest", S3_ERR_CORRUPT},
	{"XAmzContentChecksumMismatch", S3_ERR_CORRUPT},
	{"XAmzContentSHA256Mismatch", S3_ERR_CORRUPT},
};

struct number_class {
	int number;
	enum s3_error error;
};

/* What is not here goes by its hundred. */
static const struct number_class statuses[] =
	{
		{301, S3_ERR_REGION},       {302, S3_ERR_REGION},    {303, S3_ERR_REGION},
		{304, S3_ERR_PRECONDITION}, {307, S3_ERR_REGION},    {308, S3_ERR_REGION},
		{401, S3_ERR_CREDENTIALS},  {403, S3_ERR_ACCESS},    {404, S3_ERR_NOT_FOUND},
		{405, S3_ERR_UNSUPPORTED},  {408, S3_ERR_TIMEOUT},   {409, S3_ERR_CONFLICT},
		{412, S3_ERR_PRECONDITION}, {413, S3_ERR_TOO_LARGE}, {414, S3_ERR_TOO_LARGE},
		{416, S3_ERR_RANGE},        {429, S3_ERR_THROTTLED}, {431, S3_ERR_TOO_LARGE},
		{499, S3_ERR_NETWORK}, /* "client closed the request", as gateways call it */
		{501, S3_ERR_UNSUPPORTED},  {503, S3_ERR_THROTTLED},
};

/* What is not here is S3_ERR_NETWORK: something between us and the server, worth another attempt. */
static const struct number_class curl_codes[] = {
	{CURLE_UNSUPPORTED_PROTOCOL, S3_ERR_PROTOCOL}, /* also: an answer that is no HTTP */
	{CURLE_FAILED_INIT, S3_ERR_NO_MEMORY},
	{CURLE_URL_MALFORMAT, S3_ERR_INVALID},
	{CURLE_NOT_BUILT_IN, S3_ERR_UNSUPPORTED},
	{CURLE_COULDNT_RESOLVE_PROXY, S3_ERR_NAME},
	{CURLE_COULDNT_RESOLVE_HOST, S3_ERR_NAME},
	{CURLE_COULDNT_CONNECT, S3_ERR_CONNECT},
	{CURLE_INTERFACE_FAILED, S3_ERR_CONNECT},
	{CURLE_PROXY, S3_ERR_CONNECT},
	{CURLE_WEIRD_SERVER_REPLY, S3_ERR_PROTOCOL},
	{CURLE_WRITE_ERROR, S3_ERR_PROTOCOL}, /* our callbacks refuse answers without bounds */
	{CURLE_BAD_CONTENT_ENCODING, S3_ERR_PROTOCOL},
	{CURLE_TOO_MANY_REDIRECTS, S3_ERR_REGION},
	{CURLE_OUT_OF_MEMORY, S3_ERR_NO_MEMORY},
	{CURLE_OPERATION_TIMEDOUT, S3_ERR_TIMEOUT},
	{CURLE_ABORTED_BY_CALLBACK, S3_ERR_CANCELLED},
	{CURLE_SSL_CONNECT_ERROR, S3_ERR_TLS},
	{CURLE_SSL_ENGINE_NOTFOUND, S3_ERR_TLS},
	{CURLE_SSL_ENGINE_SETFAILED, S3_ERR_TLS},
	{CURLE_SSL_CERTPROBLEM, S3_ERR_TLS},
	{CURLE_SSL_CIPHER, S3_ERR_TLS},
	{CURLE_PEER_FAILED_VERIFICATION, S3_ERR_TLS},
	{CURLE_USE_SSL_FAILED, S3_ERR_TLS},
	{CURLE_SSL_ENGINE_INITFAILED, S3_ERR_TLS},
	{CURLE_SSL_CACERT_BADFILE, S3_ERR_TLS},
	{CURLE_SSL_CRL_BADFILE, S3_ERR_TLS},
	{CURLE_SSL_ISSUER_ERROR, S3_ERR_TLS},
	{CURLE_SSL_PINNEDPUBKEYNOTMATCH, S3_ERR_TLS},
	{CURLE_SSL_INVALIDCERTSTATUS, S3_ERR_TLS},
	{CURLE_SSL_CLIENTCERT, S3_ERR_TLS},
};

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static enum s3_error find_number(const struct number_class *table, size_t count, int number, enum s3_error otherwise)
{
	for (size_t i = 0; i < count; i++)
		if (table[i].number == number)
			return table[i].error;
	return otherwise;
}

enum s3_error error_from_code(const char *code)
{
	for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
		if (!strcmp(codes[i].code, code))
			return codes[i].error;
	return S3_OK;
}

enum s3_error error_from_status(int http_status)
{
	enum s3_error otherwise;

	switch (http_status / 100) {
	case 2:
		return S3_OK;
	case 4:
		otherwise = S3_ERR_INVALID;
		break;
	case 5:
		otherwise = S3_ERR_SERVER;
		break;
	default:
		otherwise = S3_ERR_PROTOCOL;
		break;
	}
	return find_number(statuses, ARRAY_LENGTH(statuses), http_status, otherwise);
}

enum s3_error error_from_curl(int curl_code, const char *detail)
{
	if (curl_code == CURLE_OK)
		return S3_OK;
	/* A connection that breaks while shaking hands is a network fault; only a refused handshake is TLS. */
	if (curl_code == CURLE_SSL_CONNECT_ERROR &&
	    (strstr(detail, "SSL_ERROR_SYSCALL") || strstr(detail, "Connection reset") ||
	     strstr(detail, "unexpected eof")))
		return S3_ERR_NETWORK;
	return find_number(curl_codes, ARRAY_LENGTH(curl_codes), curl_code, S3_ERR_NETWORK);
}

static const struct class_info *class_of(enum s3_error e)
{
	assert((unsigned)e < S3_ERR__COUNT);
	return &classes[e];
}

const char *s3_error_name(enum s3_error e)
{
	return class_of(e)->name;
}

bool s3_error_is_retryable(enum s3_error e)
{
	return class_of(e)->retryable;
}

int s3_error_errno(enum s3_error e)
{
	return class_of(e)->errnum;
}

const char *error_advice(enum s3_error e)
{
	return class_of(e)->advice;
}
