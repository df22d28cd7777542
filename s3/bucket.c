/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a bucket is and as whom to ask for it: checked once, so that whoever builds a request need not doubt it. */
#include "s3/bucket.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/base/cleanup.h"
#include "s3/base/strbuf.h"
#include "s3/uri.h"

#define DEFAULT_REGION   "us-east-1"
#define HOST_MAX_LENGTH  253
#define LABEL_MAX_LENGTH 63

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define ALNUM  LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS

struct sentence {
	const char *label; /* what the bucket is called in it */
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct sentence *err, const char *fmt, ...)
{
	va_list args;
	int n;

	n = snprintf(err->text, err->size, "bucket \"%s\": ", err->label);
	if (n < 0 || (size_t)n >= err->size)
		return false;
	va_start(args, fmt);
	vsnprintf(err->text + n, err->size - (size_t)n, fmt, args);
	va_end(args);
	return false;
}

static bool is_set(const char *s)
{
	return s && *s;
}

static bool has_suffix(const char *s, const char *suffix)
{
	size_t len = strlen(s), suffix_len = strlen(suffix);

	return len >= suffix_len && !strcmp(s + len - suffix_len, suffix);
}

static bool has_control_or_space(const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c <= ' ' || c == 0x7f)
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------------------------------------- endpoints */

struct endpoint {
	char *scheme;
	char *host;      /* lower case; IPv6 in its brackets */
	unsigned port;   /* 0: the scheme's own */
	char *base_path; /* "" or "/base" without a slash at the end */
	bool is_address; /* an IP address has no subdomains for buckets */
};

static void endpoint_clear(struct endpoint *e)
{
	free(e->scheme);
	free(e->host);
	free(e->base_path);
}

static bool is_ipv6(const char *bracketed)
{
	char text[INET6_ADDRSTRLEN];
	size_t len = strlen(bracketed);
	struct in6_addr addr;

	if (len < 2 || bracketed[len - 1] != ']' || len - 2 >= sizeof(text))
		return false;
	memcpy(text, bracketed + 1, len - 2);
	text[len - 2] = '\0';
	return inet_pton(AF_INET6, text, &addr) == 1;
}

static bool is_host_name(const char *host)
{
	size_t len = strlen(host);

	return len > 0 && len <= HOST_MAX_LENGTH && strspn(host, ALNUM ".-_") == len && !strstr(host, "..") &&
	       host[0] != '.' && host[0] != '-';
}

static bool parse_port(const char *text, unsigned *port)
{
	size_t len = strlen(text);

	if (len < 1 || len > 5 || strspn(text, DIGITS) != len)
		return false;
	*port = (unsigned)strtoul(text, NULL, 10);
	return *port >= 1 && *port <= 65535;
}

/* The path goes into the signature as it stands, so it has to be encoded already. */
static bool is_encoded_path(const char *path)
{
	while (*path) {
		if (*path == '%') {
			if (!isxdigit((unsigned char)path[1]) || !isxdigit((unsigned char)path[2]))
				return false;
			path += 3;
		} else {
			if (!strchr(ALNUM "-._~/", *path))
				return false;
			path++;
		}
	}
	return true;
}

/* HOST and an optional port, in place. */
static bool parse_authority(struct endpoint *e, char *authority, const char *url, const struct sentence *err)
{
	struct in_addr addr4;
	char *port = strrchr(authority, ':');

	if (authority[0] == '[') {
		char *end = strchr(authority, ']');

		port = end && end[1] == ':' ? end + 1 : NULL;
	}
	if (port) {
		*port++ = '\0';
		if (!parse_port(port, &e->port))
			return refuse(err, "endpoint \"%s\" has a port that is not a number from 1 to 65535", url);
	}
	if (!*authority)
		return refuse(err, "endpoint \"%s\" has no host name", url);
	if (authority[0] == '[' ? !is_ipv6(authority) : !is_host_name(authority))
		return refuse(err,
			      "endpoint \"%s\" has a host that is neither a name nor an address (write an IPv6 "
			      "address in brackets)",
			      url);
	for (char *p = authority; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	e->is_address = authority[0] == '[' || inet_pton(AF_INET, authority, &addr4) == 1;
	if (e->port == (strcmp(e->scheme, "https") ? 80 : 443))
		e->port = 0;
	e->host = strdup(authority);
	return e->host || refuse(err, "out of memory");
}

static bool parse_endpoint(struct endpoint *e, const char *url, const struct sentence *err)
{
	CLEANUP_FREE char *authority = NULL;
	const char *rest, *path;
	size_t len;

	/* First of all, because such a URL may hold a secret, and the sentences below quote it. */
	if (strchr(url, '@'))
		return refuse(err, "the endpoint must not contain a user or password; set access_key_id and "
				   "secret_access_key instead");
	if (strpbrk(url, "?#"))
		return refuse(err, "the endpoint must not contain a query (\"?\") or a fragment (\"#\")");
	if (!strncasecmp(url, "https://", 8)) {
		e->scheme = strdup("https");
		rest = url + 8;
	} else if (!strncasecmp(url, "http://", 7)) {
		e->scheme = strdup("http");
		rest = url + 7;
	} else {
		return refuse(err, "endpoint \"%s\" must begin with http:// or https://", url);
	}
	path = rest + strcspn(rest, "/");
	authority = strndup(rest, (size_t)(path - rest));
	len = strlen(path);
	while (len > 0 && path[len - 1] == '/')
		len--;
	e->base_path = strndup(path, len);
	if (!e->scheme || !authority || !e->base_path)
		return refuse(err, "out of memory");
	if (!is_encoded_path(e->base_path))
		return refuse(err, "endpoint \"%s\" has a path with characters that must be percent-encoded", url);
	return parse_authority(e, authority, url, err);
}

/* ------------------------------------------------------------------------------------------ checked values */

/* One label of a host name, so that a bucket in front of it stays under the wildcard certificate. */
static bool is_dns_label(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= LABEL_MAX_LENGTH && strspn(s, LOWER DIGITS "-") == len && s[0] != '-' &&
	       s[len - 1] != '-';
}

static bool is_dns_name(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= LABEL_MAX_LENGTH && strspn(s, LOWER DIGITS "-.") == len && !strstr(s, "..") &&
	       !strchr("-.", s[0]) && !strchr("-.", s[len - 1]);
}

static bool check_bucket_name(const char *name, const struct sentence *err)
{
	if (!is_set(name))
		return refuse(err, "the name of the S3 bucket is missing");
	if (strchr(name, '/'))
		return refuse(err, "the S3 bucket's name \"%s\" must not contain \"/\"; a path in it goes into prefix",
			      name);
	if (has_control_or_space(name) || !strcmp(name, ".") || !strcmp(name, ".."))
		return refuse(err, "\"%s\" cannot be the name of an S3 bucket", name);
	return true;
}

/* The values that end up in header fields: nothing in them may end the field early. */
static bool check_keys(const struct s3_bucket_config *config, const struct sentence *err)
{
	bool id = is_set(config->access_key_id), secret = is_set(config->secret_access_key);

	if (id && !secret)
		return refuse(err, "access_key_id is set but secret_access_key is not; set both or neither");
	if (secret && !id)
		return refuse(err, "secret_access_key is set but access_key_id is not; set both or neither");
	if (is_set(config->session_token) && !id)
		return refuse(err, "session_token is set but access_key_id and secret_access_key are not");
	if (id && (has_control_or_space(config->access_key_id) || strpbrk(config->access_key_id, "/,")))
		return refuse(err, "access_key_id contains a character that no access key has");
	if (secret && has_control_or_space(config->secret_access_key))
		return refuse(err, "secret_access_key contains a space or a control character");
	if (is_set(config->session_token) && has_control_or_space(config->session_token))
		return refuse(err, "session_token contains a space or a control character");
	return true;
}

/* Decides whether the bucket is part of the path or of the host name. */
static bool choose_style(const struct s3_bucket_config *config, const struct endpoint *e, bool *path_style,
			 const struct sentence *err)
{
	bool amazon = has_suffix(e->host, ".amazonaws.com") || has_suffix(e->host, ".amazonaws.com.cn");

	*path_style = config->path_style > 0 || (config->path_style < 0 && !(amazon && is_dns_label(config->bucket)));
	if (*path_style)
		return true;
	if (e->is_address)
		return refuse(err, "the endpoint is an IP address, which has no host name for each bucket; "
				   "set path_style to yes");
	if (!is_dns_name(config->bucket))
		return refuse(err, "the S3 bucket's name \"%s\" cannot be part of a host name; set path_style to yes",
			      config->bucket);
	return true;
}

/* ------------------------------------------------------------------------------------------------- buckets */

static char *copy_or_null(const char *s, bool *failed)
{
	char *copy = is_set(s) ? strdup(s) : NULL;

	if (is_set(s) && !copy)
		*failed = true;
	return copy;
}

static char *host_and_port(const char *before, const struct endpoint *e)
{
	CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

	strbuf_addstr(&sb, before);
	strbuf_addstr(&sb, e->host);
	if (e->port)
		strbuf_addf(&sb, ":%u", e->port);
	return strbuf_detach(&sb);
}

static bool fill_place(struct s3_bucket *b, const struct endpoint *e, bool path_style)
{
	CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
	CLEANUP_STRBUF struct strbuf before = STRBUF_INIT;

	strbuf_addstr(&path, e->base_path);
	if (path_style) {
		strbuf_addch(&path, '/');
		uri_encode(&path, b->bucket, false);
	}
	b->base_path = strbuf_detach(&path);

	strbuf_addf(&before, "%s://", e->scheme);
	if (before.failed)
		return false;
	b->endpoint = host_and_port(before.data, e);
	strbuf_reset(&before);
	if (!path_style)
		strbuf_addf(&before, "%s.", b->bucket);
	if (before.failed)
		return false;
	b->host = host_and_port(before.data, e);
	b->scheme = strdup(e->scheme);
	return b->base_path && b->endpoint && b->host && b->scheme;
}

static bool fill_keys(struct s3_bucket *b, const struct s3_bucket_config *config)
{
	bool failed = false;

	b->anonymous = !is_set(config->access_key_id);
	if (b->anonymous)
		return true;
	b->session_token = copy_or_null(config->session_token, &failed);
	b->signer = sigv4_signer_new(config->access_key_id, config->secret_access_key, b->region, "s3");
	return !failed && b->signer;
}

static bool bucket_init(struct s3_bucket *b, const struct s3_bucket_config *config, const struct sentence *err)
{
	const char *region = is_set(config->region) ? config->region : DEFAULT_REGION;
	struct endpoint e = {0};
	char endpoint[512];
	bool path_style, failed = false, ok;

	if (!check_bucket_name(config->bucket, err) || !check_keys(config, err))
		return false;
	if (strlen(region) > LABEL_MAX_LENGTH || strspn(region, ALNUM "-_.") != strlen(region))
		return refuse(err, "region \"%s\" contains characters that no region has", region);
	snprintf(endpoint, sizeof(endpoint), "https://s3.%s.amazonaws.com%s", region,
		 strncmp(region, "cn-", 3) ? "" : ".cn");
	ok = parse_endpoint(&e, is_set(config->endpoint) ? config->endpoint : endpoint, err) &&
	     choose_style(config, &e, &path_style, err);
	if (!ok)
		goto out;
	b->label = strdup(err->label);
	b->bucket = strdup(config->bucket);
	b->region = strdup(region);
	b->ca_file = copy_or_null(config->ca_file, &failed);
	ok = !failed && b->label && b->bucket && b->region && fill_place(b, &e, path_style) && fill_keys(b, config);
	if (!ok)
		refuse(err, "out of memory");
out:
	endpoint_clear(&e);
	return ok;
}

struct s3_bucket *s3_bucket_new(const struct s3_bucket_config *config, char *err, size_t err_size)
{
	struct sentence sentence = {.text = err, .size = err_size};
	struct s3_bucket *b = calloc(1, sizeof(*b));

	sentence.label = is_set(config->name) ? config->name : is_set(config->bucket) ? config->bucket : "";
	if (!b) {
		refuse(&sentence, "out of memory");
		return NULL;
	}
	if (!bucket_init(b, config, &sentence)) {
		s3_bucket_free(b);
		return NULL;
	}
	return b;
}

void s3_bucket_free(struct s3_bucket *b)
{
	if (!b)
		return;
	sigv4_signer_free(b->signer);
	if (b->session_token)
		OPENSSL_cleanse(b->session_token, strlen(b->session_token));
	free(b->session_token);
	free(b->label);
	free(b->bucket);
	free(b->endpoint);
	free(b->scheme);
	free(b->host);
	free(b->base_path);
	free(b->region);
	free(b->ca_file);
	free(b);
}

const char *s3_bucket_label(const struct s3_bucket *b)
{
	return b->label;
}

const char *s3_bucket_name(const struct s3_bucket *b)
{
	return b->bucket;
}

const char *s3_bucket_endpoint(const struct s3_bucket *b)
{
	return b->endpoint;
}

/* How much of base_path belongs to the endpoint. In path style, where the host is the endpoint's own, the last
 * component is the bucket. */
static size_t endpoint_path_length(const struct s3_bucket *b)
{
	bool path_style = !strcmp(b->host, b->endpoint + strlen(b->scheme) + strlen("://"));

	return path_style ? (size_t)(strrchr(b->base_path, '/') - b->base_path) : strlen(b->base_path);
}

bool s3_bucket_same_account(const struct s3_bucket *a, const struct s3_bucket *b)
{
	size_t path_length = endpoint_path_length(a);

	/* Behind one host two base paths may be two services, each with a bucket of the same name. */
	if (strcmp(a->endpoint, b->endpoint) || path_length != endpoint_path_length(b) ||
	    strncmp(a->base_path, b->base_path, path_length) || strcmp(a->region, b->region) ||
	    a->anonymous != b->anonymous)
		return false;
	return a->anonymous || !strcmp(sigv4_signer_access_key_id(a->signer), sigv4_signer_access_key_id(b->signer));
}
