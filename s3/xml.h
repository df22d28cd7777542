/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The XML of S3: reads answers, writes the two request bodies there are. Private to s3/. Any thread.
 *
 * Answers come from a stranger: a DOCTYPE is refused (so there are no entities to expand), nothing is fetched, and
 * depth, text length and the number of entries are bounded. Servers differ in namespaces, so only local names count;
 * and whether the root's name ends in Result or Response does not matter. */
#ifndef S3B_XML_H
#define S3B_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "s3/base/strbuf.h"
#include "s3/s3.h"

#define XML_MAX_DEPTH 12
#define XML_MAX_TEXT_BYTES ((size_t)16 << 10) /* a key is at most 1024 bytes, percent-encoded 3072 */
#define XML_MAX_ENTRIES 10000                 /* a page has at most 1000; some servers are generous */

enum xml_root {
	XML_ROOT_NONE,
	XML_ROOT_LIST,     /* ListBucketResult */
	XML_ROOT_INITIATE, /* InitiateMultipartUploadResult */
	XML_ROOT_COMPLETE, /* CompleteMultipartUploadResult */
	XML_ROOT_COPY,     /* CopyObjectResult, CopyPartResult */
	XML_ROOT_PARTS,    /* ListPartsResult */
	XML_ROOT_UPLOADS,  /* ListMultipartUploadsResult */
	XML_ROOT_DELETE,   /* DeleteResult */
	XML_ROOT_ERROR,    /* Error */
};

struct xml_answer {
	enum xml_root root;
	const char *problem; /* why it was refused: constant text; NULL when it was not */

	/* ERROR; DELETE: the first <Error> whose code is not NoSuchKey, which is what a delete is for */
	char code[64];
	char message[256];
	char region[64];
	char endpoint[128];
	char *error_key;    /* DELETE */
	size_t error_count; /* DELETE: how many such errors */

	char etag[96]; /* COMPLETE, COPY */
	struct timespec last_modified;
	char *upload_id; /* INITIATE */

	struct s3_list_entry *entries; /* LIST, UPLOADS */
	size_t entry_count;
	struct s3_part *parts; /* PARTS */
	size_t part_count;
	bool is_truncated;
	char *next_token; /* as in struct s3_result; NULL unless is_truncated */
};

/* 0; -EBADMSG with OUT->problem set when BODY is not one whole document of a known kind; -ENOMEM. OUT need not be
 * initialised; xml_answer_clear frees it in every case.
 * With TOLERATE_BAD_CHARACTERS references such as &#x1;, which XML does not allow but servers write when they echo a
 * key, are skipped: only for answers whose keys are not looked at. */
int xml_parse(const char *body, size_t body_bytes, bool tolerate_bad_characters, struct xml_answer *out);
void xml_answer_clear(struct xml_answer *a);

/* Bodies of CompleteMultipartUpload and DeleteObjects (quiet). -EINVAL for a key that XML cannot carry. */
void xml_write_complete(struct strbuf *out, const struct s3_part *parts, size_t count);
int xml_write_delete(struct strbuf *out, char *const *keys, size_t count);

#endif
