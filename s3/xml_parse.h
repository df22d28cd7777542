/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two halves of the XML reader share: xml.c drives libxml2, xml_fields.c knows which elements matter.
 * Private to s3/xml*.c. */
#ifndef S3B_XML_PARSE_H
#define S3B_XML_PARSE_H

#include <assert.h>
#include <libxml/parser.h>

#include "s3/xml.h"

/* Where in a document a field stands. */
enum xml_scope {
	SCOPE_NONE,
	SCOPE_LIST,
	SCOPE_LIST_CONTENTS,
	SCOPE_LIST_PREFIX,
	SCOPE_INITIATE,
	SCOPE_RESULT, /* CompleteMultipartUploadResult, CopyObjectResult, CopyPartResult: all have an ETag */
	SCOPE_PARTS,
	SCOPE_PARTS_PART,
	SCOPE_UPLOADS,
	SCOPE_UPLOADS_UPLOAD,
	SCOPE_DELETE,
	SCOPE_DELETE_ERROR,
	SCOPE_ERROR,
};

struct xml_parse {
	xmlParserCtxtPtr ctxt;
	struct xml_answer *out;
	bool tolerate_bad_characters;
	bool out_of_memory;

	unsigned depth;
	enum xml_scope root_scope;
	enum xml_scope scope; /* of the element at depth 3; SCOPE_NONE: nobody cares */
	bool in_leaf;         /* the innermost open element has had no child */
	struct strbuf text;   /* of that element */

	size_t entry_capacity, part_capacity;
	bool entry_has_size;
	bool is_url_encoded;
	char *next_marker; /* NextContinuationToken, NextPartNumberMarker, NextKeyMarker */
	char *next_upload_id_marker;
	struct xml_answer error; /* the <Error> of a DeleteResult being read: code, message, error_key */
};

/* Ends the parse; the first PROBLEM counts. */
void xml_stop(struct xml_parse *p, const char *problem);
void xml_stop_out_of_memory(struct xml_parse *p);

/* False for a root element that is no answer of S3. */
bool xml_find_root(const char *name, enum xml_root *root, enum xml_scope *scope);
/* SCOPE_NONE when NAME below PARENT holds nothing of interest. */
enum xml_scope xml_find_section(enum xml_scope parent, const char *name);
/* Elements that nobody knows are skipped. */
void xml_set_field(struct xml_parse *p, enum xml_scope scope, const char *name, const char *text);

/* The entry and the part that are being read. */
static inline struct s3_list_entry *xml_entry(struct xml_parse *p)
{
	assert(p->out->entry_count > 0);
	return &p->out->entries[p->out->entry_count - 1];
}

static inline struct s3_part *xml_part(struct xml_parse *p)
{
	assert(p->out->part_count > 0);
	return &p->out->parts[p->out->part_count - 1];
}

#endif
