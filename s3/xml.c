/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads S3's XML answers with libxml2's SAX interface: no tree is built, and the first thing that is out of bounds ends
 * the parse. */
#include "s3/xml_parse.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "s3/request.h"
#include "s3/uri.h"

void xml_stop(struct xml_parse *p, const char *problem)
{
	if (!p->out->problem)
		p->out->problem = problem;
	xmlStopParser(p->ctxt);
}

void xml_stop_out_of_memory(struct xml_parse *p)
{
	p->out_of_memory = true;
	xml_stop(p, "out of memory");
}

/* ------------------------------------------------------------------------------------------------ sections */

static void *grow(struct xml_parse *p, void *items, size_t count, size_t *capacity, size_t item_bytes)
{
	size_t wanted = *capacity ? *capacity * 2 : 64;
	void *grown;

	if (count < *capacity)
		return items;
	if (count >= XML_MAX_ENTRIES) {
		xml_stop(p, "it has too many entries");
		return NULL;
	}
	if (wanted > XML_MAX_ENTRIES)
		wanted = XML_MAX_ENTRIES;
	grown = realloc(items, wanted * item_bytes);
	if (!grown) {
		xml_stop_out_of_memory(p);
		return NULL;
	}
	*capacity = wanted;
	return grown;
}

static void begin_section(struct xml_parse *p, enum xml_scope scope)
{
	struct xml_answer *out = p->out;
	void *items;

	switch (scope) {
	case SCOPE_LIST_CONTENTS:
	case SCOPE_LIST_PREFIX:
	case SCOPE_UPLOADS_UPLOAD:
		items = grow(p, out->entries, out->entry_count, &p->entry_capacity, sizeof(*out->entries));
		if (!items)
			return;
		out->entries = items;
		out->entries[out->entry_count++] = (struct s3_list_entry){.is_prefix = scope == SCOPE_LIST_PREFIX};
		p->entry_has_size = false;
		break;
	case SCOPE_PARTS_PART:
		items = grow(p, out->parts, out->part_count, &p->part_capacity, sizeof(*out->parts));
		if (!items)
			return;
		out->parts = items;
		out->parts[out->part_count++] = (struct s3_part){0};
		break;
	case SCOPE_DELETE_ERROR:
		free(p->error.error_key);
		p->error = (struct xml_answer){0};
		break;
	default:
		break;
	}
	p->scope = scope;
}

static void end_delete_error(struct xml_parse *p)
{
	struct xml_answer *out = p->out;

	if (!strcmp(p->error.code, "NoSuchKey"))
		return;
	if (out->error_count++ > 0)
		return;
	memcpy(out->code, p->error.code, sizeof(out->code));
	memcpy(out->message, p->error.message, sizeof(out->message));
	out->error_key = p->error.error_key;
	p->error.error_key = NULL;
}

static void end_section(struct xml_parse *p)
{
	switch (p->scope) {
	case SCOPE_LIST_CONTENTS:
		if (!xml_entry(p)->key || !*xml_entry(p)->key || !p->entry_has_size)
			xml_stop(p, "an object has no key or no size");
		break;
	case SCOPE_LIST_PREFIX:
		/* <CommonPrefixes/> is how a server may say that there are none. */
		if (!xml_entry(p)->key)
			p->out->entry_count--;
		else if (!*xml_entry(p)->key)
			xml_stop(p, "a common prefix is empty");
		break;
	case SCOPE_UPLOADS_UPLOAD:
		if (!xml_entry(p)->key || !*xml_entry(p)->key || !xml_entry(p)->upload_id || !*xml_entry(p)->upload_id)
			xml_stop(p, "an upload has no key or no id");
		break;
	case SCOPE_PARTS_PART:
		if (xml_part(p)->number == 0 || !*xml_part(p)->etag)
			xml_stop(p, "a part has no number or no ETag");
		break;
	case SCOPE_DELETE_ERROR:
		end_delete_error(p);
		break;
	default:
		break;
	}
	p->scope = SCOPE_NONE;
}

/* ----------------------------------------------------------------------------------------------------- SAX */

static void on_start(void *arg, const xmlChar *local_name, const xmlChar *prefix, const xmlChar *uri, int ns_count,
		     const xmlChar **namespaces, int attribute_count, int defaulted_count, const xmlChar **attributes)
{
	struct xml_parse *p = arg;
	const char *name = (const char *)local_name;

	if (++p->depth > XML_MAX_DEPTH) {
		xml_stop(p, "it is nested too deeply");
		return;
	}
	strbuf_reset(&p->text);
	p->in_leaf = true;
	if (p->depth == 1 && !xml_find_root(name, &p->out->root, &p->root_scope))
		xml_stop(p, "it is no answer of S3");
	if (p->depth == 2)
		begin_section(p, xml_find_section(p->root_scope, name));
}

static void end_leaf(struct xml_parse *p, enum xml_scope scope, const char *name)
{
	const char *text = p->text.len ? p->text.data : "";

	if (p->text.failed) {
		xml_stop_out_of_memory(p);
		return;
	}
	xml_set_field(p, scope, name, text);
}

static void on_end(void *arg, const xmlChar *local_name, const xmlChar *prefix, const xmlChar *uri)
{
	struct xml_parse *p = arg;

	if (p->out->problem)
		return;
	if (p->in_leaf && p->depth == 2 && p->scope == SCOPE_NONE)
		end_leaf(p, p->root_scope, (const char *)local_name);
	else if (p->in_leaf && p->depth == 3 && p->scope != SCOPE_NONE)
		end_leaf(p, p->scope, (const char *)local_name);
	if (!p->out->problem && p->depth == 2 && p->scope != SCOPE_NONE)
		end_section(p);
	p->in_leaf = false;
	p->depth--;
}

static void on_text(void *arg, const xmlChar *chars, int len)
{
	struct xml_parse *p = arg;

	if (!p->in_leaf)
		return;
	if (p->text.len + (size_t)len > XML_MAX_TEXT_BYTES) {
		xml_stop(p, "a text is too long");
		return;
	}
	strbuf_add(&p->text, chars, (size_t)len);
}

static void on_doctype(void *arg, const xmlChar *name, const xmlChar *external_id, const xmlChar *system_id)
{
	xml_stop(arg, "it has a DOCTYPE");
}

#if LIBXML_VERSION >= 21200
static void on_error(void *arg, const xmlError *error)
#else
static void on_error(void *arg, xmlErrorPtr error)
#endif
{
	struct xml_parse *p = arg;

	if (error->level < XML_ERR_ERROR || error->domain == XML_FROM_NAMESPACE)
		return;
	if (error->code == XML_ERR_INVALID_CHAR && p->tolerate_bad_characters)
		return;
	if (error->code == XML_ERR_NO_MEMORY)
		xml_stop_out_of_memory(p);
	else
		xml_stop(p, "it is not well-formed XML or not complete");
}

/* ------------------------------------------------------------------------------------------------ the whole */

/* Servers say anywhere in the document, also at its end, that keys are percent-encoded. */
static void decode_keys(struct xml_parse *p)
{
	struct xml_answer *out = p->out;

	if (!p->is_url_encoded)
		return;
	for (size_t i = 0; i < out->entry_count; i++) {
		if (!uri_decode(out->entries[i].key, true)) {
			out->problem = "a key is not percent-encoded as promised";
			return;
		}
	}
	if (out->root == XML_ROOT_UPLOADS && p->next_marker && !uri_decode(p->next_marker, true))
		out->problem = "a key is not percent-encoded as promised";
}

static void build_next_token(struct xml_parse *p)
{
	struct xml_answer *out = p->out;
	CLEANUP_STRBUF struct strbuf token = STRBUF_INIT;

	if (!out->is_truncated)
		return;
	if (!p->next_marker || !*p->next_marker) {
		out->problem = "it says that there is more, but not where";
		return;
	}
	strbuf_addstr(&token, p->next_marker);
	if (out->root == XML_ROOT_UPLOADS) {
		strbuf_addch(&token, '\n');
		strbuf_addstr(&token, p->next_upload_id_marker ? p->next_upload_id_marker : "");
	}
	out->next_token = strbuf_detach(&token);
	if (!out->next_token)
		p->out_of_memory = true;
}

static void init_library(void)
{
	xmlInitParser();
}

static void skip_blanks(const char **body, size_t *body_bytes)
{
	/* Blanks before the XML declaration are no XML, but servers send them to keep a connection alive. */
	while (*body_bytes > 0 && strchr(" \t\r\n", **body) && **body) {
		(*body)++;
		(*body_bytes)--;
	}
}

static void run(struct xml_parse *p, const char *body, size_t body_bytes)
{
	static const xmlSAXHandler handler = {
		.initialized = XML_SAX2_MAGIC,
		.internalSubset = on_doctype,
		.startElementNs = on_start,
		.endElementNs = on_end,
		.characters = on_text,
		.cdataBlock = on_text,
		.serror = on_error,
	};
	/* RECOVER lets on_error decide what ends the parse. NOENT and DTDLOAD stay off: nothing is ever expanded. */
	int options = XML_PARSE_NONET | XML_PARSE_RECOVER | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;

	p->ctxt = xmlNewParserCtxt();
	if (!p->ctxt) {
		p->out_of_memory = true;
		return;
	}
	memcpy(p->ctxt->sax, &handler, sizeof(handler));
	p->ctxt->userData = p;
	/* No handler builds a tree, but what comes back is ours to free. */
	xmlFreeDoc(xmlCtxtReadMemory(p->ctxt, body, (int)body_bytes, NULL, NULL, options));
	xmlFreeParserCtxt(p->ctxt);
	p->ctxt = NULL;
}

int xml_parse(const char *body, size_t body_bytes, bool tolerate_bad_characters, struct xml_answer *out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct xml_parse p = {.out = out, .tolerate_bad_characters = tolerate_bad_characters};

	*out = (struct xml_answer){0};
	pthread_once(&once, init_library);
	skip_blanks(&body, &body_bytes);
	if (body_bytes == 0) {
		out->problem = "it is empty";
		return -EBADMSG;
	}
	if (body_bytes > (size_t)64 << 20) {
		out->problem = "it is too long";
		return -EBADMSG;
	}

	run(&p, body, body_bytes);
	if (!out->problem && !p.out_of_memory && out->root == XML_ROOT_NONE)
		out->problem = "it is no XML";
	if (!out->problem && !p.out_of_memory)
		decode_keys(&p);
	if (!out->problem && !p.out_of_memory)
		build_next_token(&p);

	strbuf_free(&p.text);
	free(p.next_marker);
	free(p.next_upload_id_marker);
	free(p.error.error_key);
	if (p.out_of_memory)
		return -ENOMEM;
	return out->problem ? -EBADMSG : 0;
}

void xml_answer_clear(struct xml_answer *a)
{
	free(a->error_key);
	free(a->upload_id);
	s3_list_entries_free(a->entries, a->entry_count);
	free(a->parts);
	free(a->next_token);
	*a = (struct xml_answer){0};
}
