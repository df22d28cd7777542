/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which elements of S3's answers matter, where they stand, and where their text goes: three tables. */
#include "s3/xml_parse.h"

#include <stdlib.h>
#include <string.h>

#include "s3/httpdate.h"

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static void set_string(struct xml_parse *p, char **field, const char *text)
{
	if (*field) {
		xml_stop(p, "an element comes twice");
		return;
	}
	*field = strdup(text);
	if (!*field)
		xml_stop_out_of_memory(p);
}

/* For what identifies something: cutting it short would make it something else. */
static void set_whole(struct xml_parse *p, char *field, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size) {
		xml_stop(p, "an ETag is too long");
		return;
	}
	memcpy(field, text, len + 1);
}

/* For what people read. */
static void set_clipped(char *field, size_t size, const char *text)
{
	size_t len = strnlen(text, size - 1);

	memcpy(field, text, len);
	field[len] = '\0';
}

static bool parse_u64(const char *s, uint64_t *out)
{
	uint64_t value = 0;

	if (!*s)
		return false;
	for (; *s; s++)
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
			return false;
	*out = value;
	return true;
}

static void set_number(struct xml_parse *p, uint64_t *field, const char *text)
{
	if (!parse_u64(text, field))
		xml_stop(p, "a size is not a number");
}

static void on_entry_key(struct xml_parse *p, const char *text)
{
	set_string(p, &xml_entry(p)->key, text);
}

static void on_entry_size(struct xml_parse *p, const char *text)
{
	set_number(p, &xml_entry(p)->size_bytes, text);
	p->entry_has_size = true;
}

static void on_entry_etag(struct xml_parse *p, const char *text)
{
	set_whole(p, xml_entry(p)->etag, sizeof(xml_entry(p)->etag), text);
}

/* A date nobody can read is left out: the object is still there. */
static void on_entry_time(struct xml_parse *p, const char *text)
{
	httpdate_parse_iso8601(text, &xml_entry(p)->last_modified);
}

static void on_entry_upload_id(struct xml_parse *p, const char *text)
{
	if (strchr(text, '\n'))
		xml_stop(p, "an upload id holds a line break");
	else
		set_string(p, &xml_entry(p)->upload_id, text);
}

static void on_part_number(struct xml_parse *p, const char *text)
{
	uint64_t number;

	if (!parse_u64(text, &number) || number < 1 || number > 10000)
		xml_stop(p, "a part number is not in 1 to 10000");
	else
		xml_part(p)->number = (uint32_t)number;
}

static void on_part_size(struct xml_parse *p, const char *text)
{
	set_number(p, &xml_part(p)->size_bytes, text);
}

static void on_part_etag(struct xml_parse *p, const char *text)
{
	set_whole(p, xml_part(p)->etag, sizeof(xml_part(p)->etag), text);
}

static void on_truncated(struct xml_parse *p, const char *text)
{
	p->out->is_truncated = !strcasecmp(text, "true");
}

static void on_encoding(struct xml_parse *p, const char *text)
{
	p->is_url_encoded = !strcasecmp(text, "url");
}

static void on_next_marker(struct xml_parse *p, const char *text)
{
	set_string(p, &p->next_marker, text);
}

static void on_next_upload_id_marker(struct xml_parse *p, const char *text)
{
	if (strchr(text, '\n'))
		xml_stop(p, "an upload id holds a line break");
	else
		set_string(p, &p->next_upload_id_marker, text);
}

static void on_result_etag(struct xml_parse *p, const char *text)
{
	set_whole(p, p->out->etag, sizeof(p->out->etag), text);
}

static void on_result_time(struct xml_parse *p, const char *text)
{
	httpdate_parse_iso8601(text, &p->out->last_modified);
}

static void on_upload_id(struct xml_parse *p, const char *text)
{
	set_string(p, &p->out->upload_id, text);
}

static void on_code(struct xml_parse *p, const char *text)
{
	set_clipped(p->out->code, sizeof(p->out->code), text);
}

static void on_message(struct xml_parse *p, const char *text)
{
	set_clipped(p->out->message, sizeof(p->out->message), text);
}

static void on_region(struct xml_parse *p, const char *text)
{
	set_clipped(p->out->region, sizeof(p->out->region), text);
}

static void on_endpoint(struct xml_parse *p, const char *text)
{
	set_clipped(p->out->endpoint, sizeof(p->out->endpoint), text);
}

static void on_delete_key(struct xml_parse *p, const char *text)
{
	set_string(p, &p->error.error_key, text);
}

static void on_delete_code(struct xml_parse *p, const char *text)
{
	set_clipped(p->error.code, sizeof(p->error.code), text);
}

static void on_delete_message(struct xml_parse *p, const char *text)
{
	set_clipped(p->error.message, sizeof(p->error.message), text);
}

/* -------------------------------------------------------------------------------------------------- tables */

/* Amazon's names end in "Result", others' in "Response". */
static const struct {
	const char *stem;
	enum xml_root root;
	enum xml_scope scope;
} roots[] = {
	{"ListBucket", XML_ROOT_LIST, SCOPE_LIST},
	{"InitiateMultipartUpload", XML_ROOT_INITIATE, SCOPE_INITIATE},
	{"CompleteMultipartUpload", XML_ROOT_COMPLETE, SCOPE_RESULT},
	{"CopyObject", XML_ROOT_COPY, SCOPE_RESULT},
	{"CopyPart", XML_ROOT_COPY, SCOPE_RESULT},
	{"ListParts", XML_ROOT_PARTS, SCOPE_PARTS},
	{"ListMultipartUploads", XML_ROOT_UPLOADS, SCOPE_UPLOADS},
	{"Delete", XML_ROOT_DELETE, SCOPE_DELETE},
	{"Error", XML_ROOT_ERROR, SCOPE_ERROR},
};

/* Elements that hold further fields. */
static const struct {
	enum xml_scope parent;
	const char *name;
	enum xml_scope scope;
} sections[] = {
	{SCOPE_LIST, "Contents", SCOPE_LIST_CONTENTS},
	{SCOPE_LIST, "CommonPrefixes", SCOPE_LIST_PREFIX},
	{SCOPE_PARTS, "Part", SCOPE_PARTS_PART},
	{SCOPE_UPLOADS, "Upload", SCOPE_UPLOADS_UPLOAD},
	/* A common prefix of uploads is not an upload: nothing in it is read. */
	{SCOPE_DELETE, "Error", SCOPE_DELETE_ERROR},
};

static const struct {
	enum xml_scope scope;
	const char *name;
	void (*set)(struct xml_parse *p, const char *text);
} fields[] = {
	{SCOPE_LIST_CONTENTS, "Key", on_entry_key},
	{SCOPE_LIST_CONTENTS, "Size", on_entry_size},
	{SCOPE_LIST_CONTENTS, "ETag", on_entry_etag},
	{SCOPE_LIST_CONTENTS, "LastModified", on_entry_time},
	{SCOPE_LIST_PREFIX, "Prefix", on_entry_key},
	{SCOPE_LIST, "IsTruncated", on_truncated},
	{SCOPE_LIST, "EncodingType", on_encoding},
	{SCOPE_LIST, "NextContinuationToken", on_next_marker},
	{SCOPE_PARTS_PART, "PartNumber", on_part_number},
	{SCOPE_PARTS_PART, "Size", on_part_size},
	{SCOPE_PARTS_PART, "ETag", on_part_etag},
	{SCOPE_PARTS, "IsTruncated", on_truncated},
	{SCOPE_PARTS, "NextPartNumberMarker", on_next_marker},
	{SCOPE_UPLOADS_UPLOAD, "Key", on_entry_key},
	{SCOPE_UPLOADS_UPLOAD, "UploadId", on_entry_upload_id},
	{SCOPE_UPLOADS_UPLOAD, "Initiated", on_entry_time},
	{SCOPE_UPLOADS, "IsTruncated", on_truncated},
	{SCOPE_UPLOADS, "EncodingType", on_encoding},
	{SCOPE_UPLOADS, "NextKeyMarker", on_next_marker},
	{SCOPE_UPLOADS, "NextUploadIdMarker", on_next_upload_id_marker},
	{SCOPE_INITIATE, "UploadId", on_upload_id},
	{SCOPE_RESULT, "ETag", on_result_etag},
	{SCOPE_RESULT, "LastModified", on_result_time},
	{SCOPE_DELETE_ERROR, "Key", on_delete_key},
	{SCOPE_DELETE_ERROR, "Code", on_delete_code},
	{SCOPE_DELETE_ERROR, "Message", on_delete_message},
	{SCOPE_ERROR, "Code", on_code},
	{SCOPE_ERROR, "Message", on_message},
	{SCOPE_ERROR, "Region", on_region},
	{SCOPE_ERROR, "Endpoint", on_endpoint},
};

bool xml_find_root(const char *name, enum xml_root *root, enum xml_scope *scope)
{
	for (size_t i = 0; i < ARRAY_LENGTH(roots); i++) {
		size_t len = strlen(roots[i].stem);
		const char *end = name + len;

		if (strncmp(roots[i].stem, name, len))
			continue;
		if (roots[i].root == XML_ROOT_ERROR ? !*end : !strcmp(end, "Result") || !strcmp(end, "Response")) {
			*root = roots[i].root;
			*scope = roots[i].scope;
			return true;
		}
	}
	return false;
}

enum xml_scope xml_find_section(enum xml_scope parent, const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(sections); i++)
		if (sections[i].parent == parent && !strcmp(sections[i].name, name))
			return sections[i].scope;
	return SCOPE_NONE;
}

void xml_set_field(struct xml_parse *p, enum xml_scope scope, const char *name, const char *text)
{
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
		if (fields[i].scope == scope && !strcmp(fields[i].name, name)) {
			fields[i].set(p, text);
			return;
		}
	}
}
