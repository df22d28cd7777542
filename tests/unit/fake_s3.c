/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fake S3: when requests finish, what goes wrong, and what each operation does. */
#include "tests/unit/fake_s3.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

/* A request in flight. */
struct event {
	struct heap_node node;
	struct s3_request *request;
	enum s3_error fault; /* S3_OK: none */
	bool source_failed, applied, cancelled;
	int64_t retry_after_ms;
	uint64_t after_bytes;
	int64_t start_us, first_byte_us;
	int64_t end_us;  /* in a race: it waits in the heap for its first byte, and then for this; 0: not in one */
	bool is_moving;
};

/* --------------------------------------------------------------------------------------------------- buckets */

void fake_bucket_init(struct s3_bucket *b, const char *name, int account)
{
	*b = (struct s3_bucket){.account = account};
	snprintf(b->label, sizeof(b->label), "%s", name);
	snprintf(b->name, sizeof(b->name), "%s", name);
	snprintf(b->endpoint, sizeof(b->endpoint), "http://account%d", account);
}

const char *s3_bucket_label(const struct s3_bucket *b)
{
	return b->label;
}

const char *s3_bucket_name(const struct s3_bucket *b)
{
	return b->name;
}

const char *s3_bucket_endpoint(const struct s3_bucket *b)
{
	return b->endpoint;
}

bool s3_bucket_same_account(const struct s3_bucket *a, const struct s3_bucket *b)
{
	return a->account == b->account;
}

/* --------------------------------------------------------------------------------------------------- objects */

static size_t place(char *buf, size_t size, const struct s3_bucket *b, const char *key)
{
	int n = snprintf(buf, size, "%s\n%s", b->name, key);

	assert(n > 0 && (size_t)n < size);
	return (size_t)n;
}

struct fake_object *fake_find(struct fake_s3 *f, const struct s3_bucket *b, const char *key)
{
	char buf[2048];
	size_t n = place(buf, sizeof(buf), b, key);
	struct fake_object *o;

	HASH_FIND(hh, f->objects, buf, n, o);
	return o;
}

static const char *object_key(const struct fake_object *o)
{
	return strchr(o->key, '\n') + 1;
}

static void object_free(struct fake_object *o)
{
	content_clear(&o->content);
	s3_headers_clear(&o->headers);
	free(o);
}

void fake_remove(struct fake_s3 *f, const struct s3_bucket *b, const char *key)
{
	struct fake_object *o = fake_find(f, b, key);

	if (!o)
		return;
	HASH_DEL(f->objects, o);
	object_free(o);
}

/* Replaces what is there; CONTENT moves into it. */
static struct fake_object *store(struct fake_s3 *f, const struct s3_bucket *b, const char *key, struct fake_content content,
				 const struct s3_headers *headers, size_t parts)
{
	char buf[2048];
	size_t n = place(buf, sizeof(buf), b, key);
	struct fake_object *o = calloc(1, sizeof(*o) + n + 1);

	assert(o);
	memcpy(o->key, buf, n);
	o->bucket = b;
	o->unclear = f->losing_answer;
	o->content = content;
	if (headers)
		s3_headers_copy(&o->headers, headers);
	if (parts)
		snprintf(o->etag, sizeof(o->etag), "\"%032llx-%zu\"", (unsigned long long)f->next_etag++, parts);
	else
		snprintf(o->etag, sizeof(o->etag), "\"%032llx\"", (unsigned long long)f->next_etag++);
	o->last_modified.tv_sec = 1700000000 + f->now_us / 1000000;
	fake_remove(f, b, key);
	HASH_ADD_KEYPTR(hh, f->objects, o->key, n, o);
	return o;
}

struct fake_object *fake_put(struct fake_s3 *f, const struct s3_bucket *b, const char *key, uint64_t seed, uint64_t size)
{
	struct fake_content c = {0};

	content_add_pattern(&c, seed, 0, size);
	return store(f, b, key, c, NULL, 0);
}

unsigned fake_upload_count(struct fake_s3 *f, bool lost)
{
	struct fake_upload *u;
	unsigned n = 0;

	for (u = f->uploads; u; u = u->hh.next)
		n += u->lost == lost;
	return n;
}

static void upload_remove(struct fake_s3 *f, struct fake_upload *u)
{
	size_t i;

	HASH_DEL(f->uploads, u);
	for (i = 0; i < u->part_capacity; i++)
		content_clear(&u->parts[i].content);
	free(u->parts);
	s3_headers_clear(&u->headers);
	free(u->key);
	free(u);
}

/* ------------------------------------------------------------------------------------------------ operations */

static void set_error(struct s3_request *r, enum s3_error e, const char *what)
{
	r->result.error = e;
	snprintf(r->result.message, sizeof(r->result.message), "%s %s/%s: %s", s3_op_name(r->op), r->bucket->label,
		 r->key ? r->key : "", what);
}

static struct fake_upload *upload_of(struct fake_s3 *f, struct s3_request *r)
{
	struct fake_upload *u;

	HASH_FIND_STR(f->uploads, r->upload_id, u);
	if (!u || strcmp(u->key, r->key) != 0)
		return set_error(r, S3_ERR_NO_UPLOAD, "no such upload"), NULL;
	return u;
}

/* The source of an OBJECT segment or a copy; sets the error when it is not what was meant. */
static struct fake_object *source_of(struct fake_s3 *f, struct s3_request *r, const struct s3_bucket *b, const char *key,
				     const char *etag, uint64_t offset, uint64_t length)
{
	struct fake_object *o = fake_find(f, b, key);

	r->result.source_failed = true;
	if (!o)
		return set_error(r, S3_ERR_NOT_FOUND, "no such source"), NULL;
	if (etag && strcmp(etag, o->etag) != 0)
		return set_error(r, S3_ERR_PRECONDITION, "the source has another ETag"), NULL;
	if (offset + length > o->content.size_bytes)
		return set_error(r, S3_ERR_RANGE, "the source is shorter"), NULL;
	r->result.source_failed = false;
	return o;
}

static bool make_body(struct fake_s3 *f, struct s3_request *r, struct fake_content *c)
{
	size_t i;

	for (i = 0; i < r->segment_count; i++) {
		const struct s3_segment *seg = &r->segments[i];
		struct fake_object *o;

		switch (seg->kind) {
		case S3_SEGMENT_MEMORY:
			content_add_bytes(c, seg->memory, seg->length_bytes);
			break;
		case S3_SEGMENT_ZERO:
			content_add_pattern(c, 0, 0, seg->length_bytes);
			break;
		case S3_SEGMENT_OBJECT:
			o = source_of(f, r, seg->src_bucket, seg->src_key, seg->src_etag, seg->src_offset_bytes,
				      seg->length_bytes);
			if (!o) {
				content_clear(c);
				return false;
			}
			content_add_slice(c, &o->content, seg->src_offset_bytes, seg->length_bytes);
			break;
		}
	}
	return true;
}

static void answer_object(struct s3_request *r, const struct fake_object *o)
{
	snprintf(r->result.etag, sizeof(r->result.etag), "%s", o->etag);
	r->result.last_modified = o->last_modified;
}

static bool preconditions_hold(struct fake_s3 *f, struct s3_request *r)
{
	struct fake_object *o = fake_find(f, r->bucket, r->key);

	if (r->if_none_match && o)
		return set_error(r, S3_ERR_PRECONDITION, "it exists"), false;
	if (r->if_match && (!o || strcmp(r->if_match, o->etag) != 0))
		return set_error(r, S3_ERR_PRECONDITION, "another ETag"), false;
	return true;
}

static void do_put(struct fake_s3 *f, struct s3_request *r)
{
	struct fake_content c = {0};

	if (!preconditions_hold(f, r) || !make_body(f, r, &c))
		return;
	if (c.size_bytes > 5120 * MIB) {
		content_clear(&c);
		set_error(r, S3_ERR_TOO_LARGE, "more than 5 GiB");
		return;
	}
	snprintf(r->result.etag, sizeof(r->result.etag), "%s", store(f, r->bucket, r->key, c, &r->headers, 0)->etag);
}

static void do_head(struct fake_s3 *f, struct s3_request *r)
{
	struct fake_object *o = fake_find(f, r->bucket, r->key);

	if (!o) {
		set_error(r, S3_ERR_NOT_FOUND, "no such key");
		return;
	}
	if (!preconditions_hold(f, r))
		return;
	answer_object(r, o);
	r->result.size_bytes = o->content.size_bytes;
	s3_headers_copy(&r->result.headers, &o->headers);
}

static void do_get(struct fake_s3 *f, struct s3_request *r, uint64_t limit)
{
	struct fake_object *o = fake_find(f, r->bucket, r->key);
	unsigned char buf[16384];
	uint64_t left;

	do_head(f, r);
	if (r->result.error != S3_OK)
		return;
	if (r->offset_bytes > 0 && r->offset_bytes >= o->content.size_bytes) {
		set_error(r, S3_ERR_RANGE, "behind the end");
		return;
	}
	left = o->content.size_bytes - r->offset_bytes;
	if (r->length_bytes > 0 && r->length_bytes < left)
		left = r->length_bytes;
	if (left > limit)
		left = limit;
	while (left > 0) {
		size_t n = left < sizeof(buf) ? (size_t)left : sizeof(buf);

		content_read(&o->content, r->offset_bytes + r->delivered_bytes, buf, n);
		if (r->on_data)
			r->on_data(r->on_data_arg, buf, n);
		r->delivered_bytes += n;
		left -= n;
	}
}

static void do_copy(struct fake_s3 *f, struct s3_request *r)
{
	struct fake_object *o;
	struct fake_content c = {0};

	if (r->bucket->copy_error != S3_OK) {
		set_error(r, r->bucket->copy_error, "no copies here");
		return;
	}
	assert(s3_bucket_same_account(r->bucket, r->src_bucket));
	o = source_of(f, r, r->src_bucket, r->src_key, r->src_etag, 0, 0);
	r->result.source_failed = false; /* the server cannot be told apart from its source */
	if (!o)
		return;
	if (o->content.size_bytes > 5120 * MIB) {
		set_error(r, S3_ERR_INVALID, "more than 5 GiB");
		return;
	}
	content_add_slice(&c, &o->content, 0, o->content.size_bytes);
	answer_object(r, store(f, r->bucket, r->key, c, r->replace_headers ? &r->headers : &o->headers, 0));
}

static void do_create(struct fake_s3 *f, struct s3_request *r)
{
	struct fake_upload *u = calloc(1, sizeof(*u));

	assert(u);
	snprintf(u->id, sizeof(u->id), "up-%llu", (unsigned long long)f->next_etag++);
	u->bucket = r->bucket;
	u->key = strdup(r->key);
	s3_headers_copy(&u->headers, &r->headers);
	HASH_ADD_STR(f->uploads, id, u);
	r->result.upload_id = strdup(u->id);
}

static void do_part(struct fake_s3 *f, struct s3_request *r)
{
	struct fake_upload *u = upload_of(f, r);
	struct fake_content c = {0};
	struct fake_part *part;

	if (!u)
		return;
	assert(r->part_number >= 1 && r->part_number <= 10000);
	if (r->op == S3_OP_UPLOAD_PART) {
		if (!make_body(f, r, &c))
			return;
	} else {
		struct fake_object *o;

		if (r->bucket->copy_error != S3_OK) {
			set_error(r, r->bucket->copy_error, "no copies here");
			return;
		}
		o = source_of(f, r, r->src_bucket, r->src_key, r->src_etag, r->src_offset_bytes, r->length_bytes);
		r->result.source_failed = false;
		if (!o)
			return;
		if (o->content.size_bytes <= 5 * MIB) {
			set_error(r, S3_ERR_INVALID, "ranges only of more than 5 MiB");
			return;
		}
		content_add_slice(&c, &o->content, r->src_offset_bytes, r->length_bytes);
	}
	if (r->part_number > u->part_capacity) {
		size_t capacity = r->part_number * 2u;

		u->parts = reallocarray(u->parts, capacity, sizeof(*u->parts));
		assert(u->parts);
		memset(u->parts + u->part_capacity, 0, (capacity - u->part_capacity) * sizeof(*u->parts));
		u->part_capacity = capacity;
	}
	part = &u->parts[r->part_number - 1];
	content_clear(&part->content);
	part->content = c;
	snprintf(part->etag, sizeof(part->etag), "\"p%llx\"", (unsigned long long)f->next_etag++);
	snprintf(r->result.etag, sizeof(r->result.etag), "%s", part->etag);
}

static void do_complete(struct fake_s3 *f, struct s3_request *r)
{
	struct fake_upload *u = upload_of(f, r);
	struct fake_content c = {0};
	size_t i;

	if (!u || !preconditions_hold(f, r))
		return;
	for (i = 0; i < r->part_count; i++) {
		uint32_t n = r->parts[i].number;
		const struct fake_part *part = n >= 1 && n <= u->part_capacity ? &u->parts[n - 1] : NULL;
		const char *wrong = NULL;

		if (!part || !part->etag[0] || strcmp(part->etag, r->parts[i].etag) != 0)
			wrong = "invalid part";
		else if (i > 0 && n <= r->parts[i - 1].number)
			wrong = "parts out of order";
		else if (i + 1 < r->part_count && part->content.size_bytes < 5 * MIB)
			wrong = "a part below 5 MiB is not the last";
		if (wrong) {
			content_clear(&c);
			set_error(r, S3_ERR_INVALID, wrong);
			return;
		}
		content_add_slice(&c, &part->content, 0, part->content.size_bytes);
	}
	if (r->part_count == 0) {
		set_error(r, S3_ERR_INVALID, "no parts");
		return;
	}
	snprintf(r->result.etag, sizeof(r->result.etag), "%s",
		 store(f, u->bucket, u->key, c, &u->headers, r->part_count)->etag);
	upload_remove(f, u);
}

static int by_key(const struct fake_object *a, const struct fake_object *b)
{
	return strcmp(a->key, b->key);
}

static bool list_add(struct s3_request *r, const char *key, size_t len, bool is_prefix, const struct fake_object *o,
		     size_t max)
{
	struct s3_result *res = &r->result;
	struct s3_list_entry *e;

	if (is_prefix && res->entry_count > 0 && res->entries[res->entry_count - 1].is_prefix &&
	    strlen(res->entries[res->entry_count - 1].key) == len && !strncmp(res->entries[res->entry_count - 1].key, key, len))
		return true;
	if (res->entry_count == max)
		return false;
	res->entries = reallocarray(res->entries, res->entry_count + 1, sizeof(*res->entries));
	assert(res->entries);
	e = &res->entries[res->entry_count++];
	*e = (struct s3_list_entry){.key = strndup(key, len), .is_prefix = is_prefix};
	if (!is_prefix) {
		e->size_bytes = o->content.size_bytes;
		e->last_modified = o->last_modified;
		snprintf(e->etag, sizeof(e->etag), "%s", o->etag);
	}
	return true;
}

/* The token is the last name of the page before. */
static void do_list(struct fake_s3 *f, struct s3_request *r)
{
	size_t max = r->max_keys ? r->max_keys : 1000, prefix_len = r->prefix ? strlen(r->prefix) : 0;
	struct fake_object *o;

	HASH_SORT(f->objects, by_key);
	for (o = f->objects; o; o = o->hh.next) {
		const char *key = object_key(o), *cut = NULL;
		size_t len = strlen(key);

		if (o->bucket != r->bucket || (prefix_len && strncmp(key, r->prefix, prefix_len) != 0))
			continue;
		if (r->delimiter)
			cut = strstr(key + prefix_len, r->delimiter);
		if (cut)
			len = (size_t)(cut - key) + strlen(r->delimiter);
		if (r->token && strncmp(key, r->token, len > strlen(r->token) ? len : strlen(r->token)) <= 0)
			continue;
		if (!list_add(r, key, len, !!cut, o, max)) {
			r->result.next_token = strdup(r->result.entries[max - 1].key);
			return;
		}
	}
}

static void do_list_parts(struct fake_s3 *f, struct s3_request *r)
{
	struct fake_upload *u = upload_of(f, r);
	size_t i;

	if (!u)
		return;
	r->result.parts = calloc(u->part_capacity + 1, sizeof(*r->result.parts));
	assert(r->result.parts);
	for (i = 0; i < u->part_capacity; i++) {
		struct s3_part *p = &r->result.parts[r->result.part_count];

		if (!u->parts[i].etag[0])
			continue;
		p->number = (uint32_t)i + 1;
		p->size_bytes = u->parts[i].content.size_bytes;
		snprintf(p->etag, sizeof(p->etag), "%s", u->parts[i].etag);
		r->result.part_count++;
	}
}

static void do_list_uploads(struct fake_s3 *f, struct s3_request *r)
{
	struct fake_upload *u;

	for (u = f->uploads; u; u = u->hh.next) {
		struct s3_list_entry *e;

		if (u->bucket != r->bucket)
			continue;
		r->result.entries = reallocarray(r->result.entries, r->result.entry_count + 1, sizeof(*e));
		assert(r->result.entries);
		e = &r->result.entries[r->result.entry_count++];
		*e = (struct s3_list_entry){.key = strdup(u->key), .upload_id = strdup(u->id)};
	}
}

static bool has_object_segment(const struct s3_request *r)
{
	size_t i;

	for (i = 0; i < r->segment_count; i++)
		if (r->segments[i].kind == S3_SEGMENT_OBJECT)
			return true;
	return false;
}

static void execute(struct fake_s3 *f, struct s3_request *r, uint64_t limit)
{
	struct fake_upload *u;
	size_t i;

	if ((r->op == S3_OP_GET || has_object_segment(r)) && !s3_request_wins(r)) {
		set_error(r, S3_ERR_CANCELLED, "another was faster");
		return;
	}
	if (f->before)
		f->before(f, r, f->before_arg);
	switch (r->op) {
	case S3_OP_HEAD_BUCKET:
		break;
	case S3_OP_LIST:
		do_list(f, r);
		break;
	case S3_OP_HEAD:
		do_head(f, r);
		break;
	case S3_OP_GET:
		do_get(f, r, limit);
		break;
	case S3_OP_PUT:
		do_put(f, r);
		break;
	case S3_OP_COPY:
		do_copy(f, r);
		break;
	case S3_OP_DELETE:
		fake_remove(f, r->bucket, r->key);
		break;
	case S3_OP_DELETE_MANY:
		for (i = 0; i < r->key_count; i++)
			fake_remove(f, r->bucket, r->keys[i]);
		break;
	case S3_OP_UPLOAD_CREATE:
		do_create(f, r);
		break;
	case S3_OP_UPLOAD_PART:
	case S3_OP_UPLOAD_PART_COPY:
		do_part(f, r);
		break;
	case S3_OP_UPLOAD_COMPLETE:
		do_complete(f, r);
		break;
	case S3_OP_UPLOAD_ABORT:
		u = upload_of(f, r);
		if (u)
			upload_remove(f, u);
		break;
	case S3_OP_LIST_PARTS:
		do_list_parts(f, r);
		break;
	case S3_OP_LIST_UPLOADS:
		do_list_uploads(f, r);
		break;
	case S3_OP__COUNT:
		assert(!"no such operation");
	}
}

/* ---------------------------------------------------------------------------------------------------- faults */

static uint64_t mix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t fake_random(struct fake_s3 *f, uint64_t below)
{
	return mix(&f->random) % below;
}

void fake_plan_fault(struct fake_s3 *f, struct fake_fault fault)
{
	assert(f->fault_count < FAKE_FAULTS_MAX);
	f->faults[f->fault_count++] = fault;
}

static bool plan_fault(struct fake_s3 *f, struct event *e)
{
	size_t i;

	for (i = 0; i < f->fault_count; i++) {
		struct fake_fault *p = &f->faults[i];

		if (p->op != e->request->op || p->count == 0 || (p->key && strcmp(p->key, e->request->key) != 0))
			continue;
		if (p->skip > 0) {
			p->skip--;
			continue;
		}
		p->count--;
		e->fault = p->error;
		e->source_failed = p->source_failed;
		e->applied = p->applied;
		e->retry_after_ms = p->retry_after_ms ? p->retry_after_ms : -1;
		e->after_bytes = p->after_bytes;
		return true;
	}
	return false;
}

static void random_fault(struct fake_s3 *f, struct event *e)
{
	uint64_t dice = fake_random(f, 1000);
	bool retryable = dice < f->retryable_permille;

	if (dice >= f->retryable_permille + f->fatal_permille)
		return;
	/* Nobody could clean up after an abort that is refused for ever. */
	if (!retryable && e->request->op == S3_OP_UPLOAD_ABORT)
		return;
	do {
		e->fault = S3_ERR_NOT_FOUND + (enum s3_error)fake_random(f, S3_ERR__COUNT - S3_ERR_NOT_FOUND);
	} while (s3_error_is_retryable(e->fault) != retryable);
	if (e->fault == S3_ERR_NOT_FOUND && e->request->op == S3_OP_DELETE)
		e->fault = S3_ERR_ACCESS; /* to a delete, "not found" means success */
	e->source_failed = has_object_segment(e->request) && fake_random(f, 2);
	e->retry_after_ms = e->fault == S3_ERR_THROTTLED && fake_random(f, 2) ? 1000 : -1;
	e->applied = (e->fault == S3_ERR_NETWORK || e->fault == S3_ERR_TIMEOUT) && fake_random(f, 2);
	e->after_bytes = fake_random(f, 100000);
}

static void finish_event(struct fake_s3 *f, struct event *e)
{
	struct s3_request *r = e->request;

	if (e->cancelled && fake_random(f, 4) != 0) {
		set_error(r, S3_ERR_CANCELLED, "cancelled");
		return;
	}
	if (e->fault == S3_OK || e->applied) {
		f->losing_answer = e->applied;
		execute(f, r, UINT64_MAX);
		f->losing_answer = false;
		if (e->fault == S3_OK)
			return;
	} else if (r->op == S3_OP_GET && e->after_bytes > 0 && s3_error_is_retryable(e->fault)) {
		execute(f, r, e->after_bytes);
	}
	if (e->applied && r->op == S3_OP_UPLOAD_CREATE && r->result.upload_id) {
		struct fake_upload *u;

		HASH_FIND_STR(f->uploads, r->result.upload_id, u);
		u->lost = true;
		f->lost_uploads++;
	}
	free(r->result.upload_id);
	r->result.upload_id = NULL;
	f->injected[e->fault]++;
	r->result.retry_after_ms = e->retry_after_ms;
	r->result.source_failed = e->source_failed;
	set_error(r, e->fault, "injected fault");
}

/* --------------------------------------------------------------------------------------------------- backend */

static struct fake_s3 *of(struct s3_backend *be)
{
	return (struct fake_s3 *)be; /* the first field */
}

static bool reads(const struct s3_request *r)
{
	return r->op == S3_OP_GET || r->op == S3_OP_HEAD || r->op == S3_OP_LIST || has_object_segment(r);
}

static int64_t duration_us(struct fake_s3 *f, struct event *e)
{
	const struct s3_request *r = e->request;
	uint64_t bytes = s3_request_body_bytes(r), rate = f->bytes_per_second;

	if (r->op == S3_OP_GET)
		bytes = r->length_bytes;
	if (r->op == S3_OP_COPY || r->op == S3_OP_UPLOAD_PART_COPY) {
		const struct fake_object *o = fake_find(f, r->src_bucket, r->src_key);

		bytes = r->op == S3_OP_UPLOAD_PART_COPY ? r->length_bytes : o ? o->content.size_bytes : 0;
		rate = f->copy_bytes_per_second;
	}
	e->is_moving = bytes > 0 && rate == f->bytes_per_second;
	if (e->is_moving && f->total_bytes_per_second > 0 && f->total_bytes_per_second / (f->moving + 1) < rate)
		rate = f->total_bytes_per_second / (f->moving + 1);
	e->start_us = f->now_us;
	e->first_byte_us = f->latency_us + (int64_t)fake_random(f, (uint64_t)f->latency_us / 4 + 1);
	if (f->late_permille > 0 && reads(r) && fake_random(f, 1000) < f->late_permille)
		e->first_byte_us += f->late_us;
	return e->first_byte_us + (int64_t)((double)bytes * 1e6 / (double)rate);
}

/* A bucket of tokens, as servers limit their clients. */
static bool is_refused(struct fake_s3 *f)
{
	if (f->requests_per_second == 0)
		return false;
	f->request_tokens += f->requests_per_second * (double)(f->now_us - f->request_tokens_us) / 1e6;
	f->request_tokens_us = f->now_us;
	if (f->request_tokens > f->requests_per_second / 10)
		f->request_tokens = f->requests_per_second / 10;
	if (f->request_tokens < 1)
		return true;
	f->request_tokens -= 1;
	return false;
}

static void fake_submit(struct s3_backend *be, struct s3_request *r)
{
	struct fake_s3 *f = of(be);
	struct event *e = calloc(1, sizeof(*e));
	int64_t end_us;

	assert(e && r->result.error == S3_OK && !r->next);
	e->request = r;
	e->retry_after_ms = -1;
	r->backend_private = e;
	if (!plan_fault(f, e))
		random_fault(f, e);
	f->requests[r->op]++;
	if (++f->in_flight > f->in_flight_max)
		f->in_flight_max = f->in_flight;
	if (++f->in_flight_op[r->op] > f->in_flight_op_max[r->op])
		f->in_flight_op_max[r->op] = f->in_flight_op[r->op];
	if (is_refused(f)) {
		e->fault = S3_ERR_THROTTLED;
		e->source_failed = e->applied = false;
		e->start_us = f->now_us;
		e->first_byte_us = f->latency_us;
		heap_push(&f->events, &e->node, (uint64_t)(f->now_us + f->latency_us));
		return;
	}
	end_us = f->now_us + duration_us(f, e);
	f->moving += e->is_moving;
	if (r->first_byte_timeout_ms > 0 && r->op != S3_OP_LIST && reads(r) &&
	    e->first_byte_us > r->first_byte_timeout_ms * 1000) {
		e->fault = S3_ERR_TIMEOUT;
		e->source_failed = has_object_segment(r);
		e->applied = false;
		e->after_bytes = 0;
		end_us = f->now_us + r->first_byte_timeout_ms * 1000;
	} else if (r->race && e->fault == S3_OK && (r->op == S3_OP_GET || has_object_segment(r))) {
		e->end_us = end_us;
		end_us = f->now_us + e->first_byte_us;
	}
	heap_push(&f->events, &e->node, (uint64_t)end_us);
}

static void fake_cancel(struct s3_backend *be, struct s3_request *r)
{
	struct fake_s3 *f = of(be);
	struct event *e = r->backend_private;

	assert(e && !e->cancelled);
	e->cancelled = true;
	heap_remove(&f->events, &e->node);
	heap_push(&f->events, &e->node, (uint64_t)f->now_us);
}

static void wait_for_wake(struct fake_s3 *f, int64_t timeout_ms)
{
	pthread_mutex_lock(&f->lock);
	if (f->threaded && timeout_ms < 0) {
		while (!f->woken)
			pthread_cond_wait(&f->woken_cond, &f->lock);
	} else {
		assert(timeout_ms >= 0 || f->woken || !"nothing in flight, no timer: this would wait for ever");
		f->now_us += f->woken ? 0 : timeout_ms * 1000;
	}
	f->woken = false;
	pthread_mutex_unlock(&f->lock);
}

static bool take_wake(struct fake_s3 *f)
{
	bool woken;

	pthread_mutex_lock(&f->lock);
	woken = f->woken;
	f->woken = false;
	pthread_mutex_unlock(&f->lock);
	return woken;
}

static void measure(struct fake_s3 *f, struct event *e)
{
	struct s3_request *r = e->request;
	size_t i;

	r->result.started_us = e->start_us;
	r->result.finished_us = f->now_us;
	r->result.first_byte_us = e->start_us + e->first_byte_us <= f->now_us ? e->start_us + e->first_byte_us : 0;
	r->result.rtt_us = (uint32_t)f->latency_us;
	r->result.sent_bytes = s3_request_body_bytes(r);
	r->result.received_bytes = r->delivered_bytes;
	if (r->ring_bytes)
		r->result.memory_bytes = r->ring_bytes / 2 + 80 * 1024; /* as when the destination is not slower */
	for (i = 0; i < r->segment_count; i++)
		if (r->segments[i].kind == S3_SEGMENT_OBJECT)
			r->result.received_bytes += r->segments[i].length_bytes;
}

static size_t fake_poll(struct s3_backend *be, struct s3_request **done, size_t max, int64_t timeout_ms)
{
	struct fake_s3 *f = of(be);
	struct heap_node *n = heap_first(&f->events);
	size_t count = 0;

	if (take_wake(f))
		timeout_ms = 0;
	if (!n || (timeout_ms >= 0 && (int64_t)n->key > f->now_us + timeout_ms * 1000)) {
		if (timeout_ms != 0)
			wait_for_wake(f, timeout_ms);
		return 0;
	}
	if ((int64_t)n->key > f->now_us)
		f->now_us = (int64_t)n->key;
	while (count < max && (n = heap_first(&f->events)) && (int64_t)n->key <= f->now_us) {
		struct event *e = (struct event *)n; /* node is the first field */
		struct s3_request *r = e->request;

		heap_remove(&f->events, n);
		if (e->end_us > f->now_us && !e->cancelled && s3_request_wins(r)) {
			heap_push(&f->events, n, (uint64_t)e->end_us);
			continue;
		}
		finish_event(f, e);
		measure(f, e);
		r->backend_private = NULL;
		f->moving -= e->is_moving;
		f->in_flight--;
		f->in_flight_op[r->op]--;
		free(e);
		done[count++] = r;
	}
	return count;
}

static void fake_wake(struct s3_backend *be)
{
	struct fake_s3 *f = of(be);

	pthread_mutex_lock(&f->lock);
	f->woken = true;
	pthread_cond_signal(&f->woken_cond);
	pthread_mutex_unlock(&f->lock);
}

static int64_t fake_now_ms(struct s3_backend *be)
{
	return of(be)->now_us / 1000;
}

static void fake_destroy(struct s3_backend *be)
{
	fake_s3_free(of(be));
}

static const struct s3_backend_ops fake_ops = {
	.submit = fake_submit,
	.cancel = fake_cancel,
	.poll = fake_poll,
	.wake = fake_wake,
	.now_ms = fake_now_ms,
	.destroy = fake_destroy,
};

struct fake_s3 *fake_s3_new(uint64_t seed)
{
	struct fake_s3 *f = calloc(1, sizeof(*f));

	assert(f);
	f->backend.ops = &fake_ops;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->woken_cond, NULL);
	f->now_us = 1000000;
	f->random = seed;
	f->next_etag = 1;
	f->latency_us = 20000;
	f->bytes_per_second = 50000000;
	f->copy_bytes_per_second = 400000000;
	return f;
}

void fake_s3_free(struct fake_s3 *f)
{
	struct fake_object *o, *next_object;
	struct fake_upload *u, *next_upload;

	assert(f->in_flight == 0);
	HASH_ITER(hh, f->objects, o, next_object) {
		HASH_DEL(f->objects, o);
		object_free(o);
	}
	HASH_ITER(hh, f->uploads, u, next_upload)
		upload_remove(f, u);
	heap_clear(&f->events);
	pthread_cond_destroy(&f->woken_cond);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
