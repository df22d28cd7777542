/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AWS Signature Version 4. */
#include "s3/sigv4.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "s3/uri.h"

#define SHA256_BYTES 32
#define DATE_BYTES   17 /* "20130524T000000Z" with its NUL */
#define DAY_LENGTH   8

struct sigv4_signer {
	char *access_key_id;
	char *secret; /* "AWS4" in front, as the first HMAC wants it */
	char *region;
	char *service;

	pthread_mutex_t lock;
	char day[DAY_LENGTH + 1]; /* the day HMAC is keyed for; "" when it is not. Under the lock, as is HMAC */
	EVP_MAC_CTX *hmac;
};

/* Fetched once: a fetch by name costs more than the hash itself. They live as long as the process. */
static pthread_once_t algorithms_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;
static EVP_MAC *hmac_algorithm;

static void algorithms_fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	hmac_algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

static bool algorithms_ready(void)
{
	pthread_once(&algorithms_once, algorithms_fetch);
	return sha256 && hmac_algorithm;
}

static void hex_encode(const unsigned char bytes[SHA256_BYTES], char out[2 * SHA256_BYTES + 1])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < SHA256_BYTES; i++) {
		out[2 * i] = hex[bytes[i] >> 4];
		out[2 * i + 1] = hex[bytes[i] & 15];
	}
	out[2 * SHA256_BYTES] = '\0';
}

static int sha256_hex(const void *data, size_t len, char out[2 * SHA256_BYTES + 1])
{
	unsigned char digest[SHA256_BYTES];

	out[0] = '\0';
	if (!algorithms_ready() || !EVP_Digest(data, len, digest, NULL, sha256, NULL))
		return -EIO;
	hex_encode(digest, out);
	return 0;
}

void sigv4_sha256_hex(const void *data, size_t len, char out[65])
{
	/* Left empty when OpenSSL fails: the server then refuses the request. */
	sha256_hex(data, len, out);
}

/* ------------------------------------------------------------------------------------------------ signers */

static void secret_free(char *s)
{
	if (s)
		OPENSSL_cleanse(s, strlen(s));
	free(s);
}

static char *secret_with_prefix(const char *secret)
{
	size_t len = strlen(secret);
	char *s = malloc(4 + len + 1);

	if (s) {
		memcpy(s, "AWS4", 4);
		memcpy(s + 4, secret, len + 1);
	}
	return s;
}

struct sigv4_signer *sigv4_signer_new(const char *access_key_id, const char *secret_access_key, const char *region,
				      const char *service)
{
	struct sigv4_signer *s = algorithms_ready() ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->access_key_id = strdup(access_key_id);
	s->secret = secret_with_prefix(secret_access_key);
	s->region = strdup(region);
	s->service = strdup(service);
	s->hmac = EVP_MAC_CTX_new(hmac_algorithm);
	if (!s->access_key_id || !s->secret || !s->region || !s->service || !s->hmac) {
		sigv4_signer_free(s);
		return NULL;
	}
	return s;
}

void sigv4_signer_free(struct sigv4_signer *s)
{
	if (!s)
		return;
	EVP_MAC_CTX_free(s->hmac); /* wipes the signing key in it */
	secret_free(s->secret);
	free(s->access_key_id);
	free(s->region);
	free(s->service);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const char *sigv4_signer_access_key_id(const struct sigv4_signer *s)
{
	return s->access_key_id;
}

/* With the key given to it last when KEY is NULL: that skips hashing the key again. */
static bool hmac_sha256(EVP_MAC_CTX *ctx, const void *key, size_t key_len, const void *data, size_t len,
			unsigned char out[SHA256_BYTES])
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_init(ctx, key, key_len, key ? params : NULL) && EVP_MAC_update(ctx, data, len) &&
	       EVP_MAC_final(ctx, out, NULL, SHA256_BYTES);
}

/* Leaves the context keyed with the signing key of DAY ("20130524" and whatever follows). */
static int signer_use_day_locked(struct sigv4_signer *s, const char *day)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	unsigned char key[SHA256_BYTES];
	bool ok;

	if (!memcmp(s->day, day, DAY_LENGTH))
		return 0;
	s->day[0] = '\0';
	ok = hmac_sha256(s->hmac, s->secret, strlen(s->secret), day, DAY_LENGTH, key) &&
	     hmac_sha256(s->hmac, key, sizeof(key), s->region, strlen(s->region), key) &&
	     hmac_sha256(s->hmac, key, sizeof(key), s->service, strlen(s->service), key) &&
	     hmac_sha256(s->hmac, key, sizeof(key), "aws4_request", strlen("aws4_request"), key) &&
	     EVP_MAC_init(s->hmac, key, sizeof(key), params);
	OPENSSL_cleanse(key, sizeof(key));
	if (!ok)
		return -EIO;
	memcpy(s->day, day, DAY_LENGTH);
	return 0;
}

/* The lock is held for one HMAC over some 130 bytes, less than a copy of the keyed context would cost. */
static int signer_sign(struct sigv4_signer *s, const char *day, const struct strbuf *string_to_sign,
		       char out[2 * SHA256_BYTES + 1])
{
	unsigned char mac[SHA256_BYTES];
	int err;

	pthread_mutex_lock(&s->lock);
	err = signer_use_day_locked(s, day);
	if (!err && !hmac_sha256(s->hmac, NULL, 0, string_to_sign->data, string_to_sign->len, mac)) {
		s->day[0] = '\0';
		err = -EIO;
	}
	pthread_mutex_unlock(&s->lock);
	if (!err)
		hex_encode(mac, out);
	return err;
}

/* -------------------------------------------------------------------------------------- canonical request */

/* A pair as it is sorted: both parts encoded, as offsets, because the buffer that holds them moves while it grows. */
struct encoded_pair {
	const char *base;
	size_t name;
	size_t value;
};

static int compare_pairs(const void *a, const void *b)
{
	const struct encoded_pair *x = a, *y = b;
	int order = strcmp(x->base + x->name, y->base + y->name);

	return order ? order : strcmp(x->base + x->value, y->base + y->value);
}

/* Sorted by encoded name, then by encoded value. Comparing "name=value" as one string would be wrong: '=' sorts behind
 * '-' and '.'. */
static int add_query(struct strbuf *out, const struct sigv4_query *query, size_t count)
{
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	struct encoded_pair *pairs;

	if (!count)
		return 0;
	pairs = calloc(count, sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		pairs[i].name = text.len;
		uri_encode(&text, query[i].name, false);
		strbuf_addch(&text, '\0');
		pairs[i].value = text.len;
		uri_encode(&text, query[i].value ? query[i].value : "", false);
		strbuf_addch(&text, '\0');
	}
	if (text.failed) {
		free(pairs);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		pairs[i].base = text.data;
	if (count > 1)
		qsort(pairs, count, sizeof(*pairs), compare_pairs);
	for (size_t i = 0; i < count; i++) {
		if (i)
			strbuf_addch(out, '&');
		strbuf_addstr(out, text.data + pairs[i].name);
		strbuf_addch(out, '=');
		strbuf_addstr(out, text.data + pairs[i].value);
	}
	free(pairs);
	return 0;
}

/* Fields of one name keep the order they were given in, as they do on the wire. */
static int compare_headers(const void *a, const void *b)
{
	const struct sigv4_header *x = *(const struct sigv4_header *const *)a;
	const struct sigv4_header *y = *(const struct sigv4_header *const *)b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x > y) - (x < y);
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without white space at the ends, and with one space for each run of it. */
static void add_folded(struct strbuf *out, const char *value)
{
	bool first = true;

	while (*value) {
		const char *word;

		while (is_blank(*value))
			value++;
		word = value;
		while (*value && !is_blank(*value))
			value++;
		if (value == word)
			break;
		if (!first)
			strbuf_addch(out, ' ');
		first = false;
		strbuf_add(out, word, (size_t)(value - word));
	}
}

static int add_headers(struct strbuf *out, struct strbuf *signed_headers, const struct sigv4_header *headers,
		       size_t count)
{
	const struct sigv4_header **sorted = calloc(count, sizeof(const struct sigv4_header *));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sorted[i] = &headers[i];
	qsort(sorted, count, sizeof(const struct sigv4_header *), compare_headers);
	for (size_t i = 0; i < count; i++) {
		if (i && !strcmp(sorted[i]->name, sorted[i - 1]->name)) {
			strbuf_addch(out, ',');
		} else {
			if (i) {
				strbuf_addch(out, '\n');
				strbuf_addch(signed_headers, ';');
			}
			strbuf_addstr(signed_headers, sorted[i]->name);
			strbuf_addstr(out, sorted[i]->name);
			strbuf_addch(out, ':');
		}
		add_folded(out, sorted[i]->value);
	}
	strbuf_addch(out, '\n');
	free(sorted);
	return 0;
}

int sigv4_canonical_request(const struct sigv4_input *in, struct strbuf *out, struct strbuf *signed_headers)
{
	int err;

	assert(in->canonical_uri[0] == '/');
	assert(in->header_count > 0);
	strbuf_addstr(out, in->method);
	strbuf_addch(out, '\n');
	strbuf_addstr(out, in->canonical_uri);
	strbuf_addch(out, '\n');
	err = add_query(out, in->query, in->query_count);
	if (err)
		return err;
	strbuf_addch(out, '\n');
	err = add_headers(out, signed_headers, in->headers, in->header_count);
	if (err)
		return err;
	strbuf_addch(out, '\n');
	strbuf_add(out, signed_headers->data, signed_headers->len);
	strbuf_addch(out, '\n');
	strbuf_addstr(out, in->payload_hash);
	return out->failed || signed_headers->failed ? -ENOMEM : 0;
}

/* ---------------------------------------------------------------------------------------------- signatures */

/* By hand, because this runs for every request and strftime asks the locale. */
static char *put_digits(char *to, int value, int digits)
{
	for (int i = digits - 1; i >= 0; i--) {
		to[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return to + digits;
}

void sigv4_date(time_t now, char out[17])
{
	struct tm tm = {0};

	gmtime_r(&now, &tm);
	out = put_digits(out, tm.tm_year + 1900, 4);
	out = put_digits(out, tm.tm_mon + 1, 2);
	out = put_digits(out, tm.tm_mday, 2);
	*out++ = 'T';
	out = put_digits(out, tm.tm_hour, 2);
	out = put_digits(out, tm.tm_min, 2);
	out = put_digits(out, tm.tm_sec, 2);
	*out++ = 'Z';
	*out = '\0';
}

static void add_scope(struct strbuf *out, const struct sigv4_signer *s, const char *date)
{
	strbuf_add(out, date, DAY_LENGTH);
	strbuf_addch(out, '/');
	strbuf_addstr(out, s->region);
	strbuf_addch(out, '/');
	strbuf_addstr(out, s->service);
	strbuf_addstr(out, "/aws4_request");
}

int sigv4_authorize(struct sigv4_signer *s, const struct sigv4_input *in, struct strbuf *out)
{
	CLEANUP_STRBUF struct strbuf canonical = STRBUF_INIT;
	CLEANUP_STRBUF struct strbuf signed_headers = STRBUF_INIT;
	char date[DATE_BYTES], hash[2 * SHA256_BYTES + 1], signature[2 * SHA256_BYTES + 1];
	int err;

	sigv4_date(in->now, date);
	err = sigv4_canonical_request(in, &canonical, &signed_headers);
	if (!err)
		err = sha256_hex(canonical.data, canonical.len, hash);
	if (err)
		return err;

	/* The canonical request has done its work; its memory holds the string to sign. */
	strbuf_reset(&canonical);
	strbuf_addstr(&canonical, "AWS4-HMAC-SHA256\n");
	strbuf_addstr(&canonical, date);
	strbuf_addch(&canonical, '\n');
	add_scope(&canonical, s, date);
	strbuf_addch(&canonical, '\n');
	strbuf_addstr(&canonical, hash);
	if (canonical.failed)
		return -ENOMEM;
	err = signer_sign(s, date, &canonical, signature);
	if (err)
		return err;

	strbuf_addstr(out, "AWS4-HMAC-SHA256 Credential=");
	strbuf_addstr(out, s->access_key_id);
	strbuf_addch(out, '/');
	add_scope(out, s, date);
	strbuf_addstr(out, ", SignedHeaders=");
	strbuf_add(out, signed_headers.data, signed_headers.len);
	strbuf_addstr(out, ", Signature=");
	strbuf_addstr(out, signature);
	return out->failed ? -ENOMEM : 0;
}
