/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signs what is described on standard input, for comparison with another implementation (sigv4_botocore.py).
 *
 * One word and its arguments a line. Arguments are hex, so that they can hold anything but NUL; "-" is the empty
 * string:
 *   signer ID SECRET REGION SERVICE | method M | key K (encoded here) | query NAME VALUE | header NAME VALUE |
 *   hash H | time T | sign
 * "sign" prints the Authorization value on a line and forgets all but the signer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/sigv4.h"
#include "s3/uri.h"

#define MAX_PAIRS 128
#define MAX_ARGS  4

struct request {
	char *method;
	char *hash;
	struct strbuf uri;
	time_t now;
	struct sigv4_query query[MAX_PAIRS];
	size_t query_count;
	struct sigv4_header headers[MAX_PAIRS];
	size_t header_count;
};

static void die(const char *what)
{
	fprintf(stderr, "sigv4_tool: %s\n", what);
	exit(2);
}

static char *copy(const char *s)
{
	char *to = strdup(s);

	if (!to)
		die("out of memory");
	return to;
}

/* In place. */
static char *from_hex(char *s)
{
	char *to = s;
	unsigned byte;

	for (const char *p = strcmp(s, "-") ? s : ""; *p; p += 2) {
		if (sscanf(p, "%2x", &byte) != 1 || !byte || !p[1])
			die("malformed argument");
		*to++ = (char)byte;
	}
	*to = '\0';
	return s;
}

static void request_clear(struct request *r)
{
	for (size_t i = 0; i < r->query_count; i++) {
		free((char *)r->query[i].name);
		free((char *)r->query[i].value);
	}
	for (size_t i = 0; i < r->header_count; i++) {
		free((char *)r->headers[i].name);
		free((char *)r->headers[i].value);
	}
	free(r->method);
	free(r->hash);
	strbuf_free(&r->uri);
	*r = (struct request){0};
}

static void request_sign(const struct request *r, struct sigv4_signer *signer)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	struct sigv4_input in = {
		.method = r->method,
		.canonical_uri = r->uri.data,
		.query = r->query,
		.query_count = r->query_count,
		.headers = r->headers,
		.header_count = r->header_count,
		.payload_hash = r->hash,
		.now = r->now,
	};

	if (!signer || !r->method || !r->uri.data || !r->hash)
		die("incomplete request");
	if (sigv4_authorize(signer, &in, &out))
		die("cannot sign");
	puts(out.data);
	fflush(stdout);
}

static void request_line(struct request *r, const char *word, char **args, int count)
{
	if (!strcmp(word, "method") && count == 1 && !r->method) {
		r->method = copy(args[0]);
	} else if (!strcmp(word, "hash") && count == 1 && !r->hash) {
		r->hash = copy(args[0]);
	} else if (!strcmp(word, "key") && count == 1) {
		uri_encode(&r->uri, args[0], true);
	} else if (!strcmp(word, "time") && count == 1) {
		r->now = (time_t)atoll(args[0]);
	} else if (!strcmp(word, "query") && count == 2 && r->query_count < MAX_PAIRS) {
		r->query[r->query_count++] = (struct sigv4_query){copy(args[0]), copy(args[1])};
	} else if (!strcmp(word, "header") && count == 2 && r->header_count < MAX_PAIRS) {
		r->headers[r->header_count++] = (struct sigv4_header){copy(args[0]), copy(args[1])};
	} else {
		die("malformed line");
	}
}

int main(void)
{
	struct sigv4_signer *signer = NULL;
	struct request request = {0};
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		char *save = NULL, *word = strtok_r(line, " \n", &save), *arg, *args[MAX_ARGS];
		int count = 0;

		if (!word)
			continue;
		while (count < MAX_ARGS && (arg = strtok_r(NULL, " \n", &save)))
			args[count++] = from_hex(arg);
		if (!strcmp(word, "sign")) {
			request_sign(&request, signer);
			request_clear(&request);
		} else if (!strcmp(word, "signer") && count == 4) {
			sigv4_signer_free(signer);
			signer = sigv4_signer_new(args[0], args[1], args[2], args[3]);
		} else {
			request_line(&request, word, args, count);
		}
	}
	request_clear(&request);
	sigv4_signer_free(signer);
	free(line);
	return 0;
}
