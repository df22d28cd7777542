/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core of the file system on a fake S3 with a virtual clock. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/fs_rig.h"

#include "fs/content.h"
#include "fs/file.h"
#include "fs/lookup.h"
#include "fs/names.h"
#include "fs/readdir.h"

struct rig *rig_new(enum writeback writeback)
{
	static const char *const names[] = {"src", "dst", "near"};
	struct rig *r = calloc(1, sizeof(*r));
	struct sched_config sc = {.memory_limit_bytes = 64 * MIB, .seed = 1};

	for (int i = 0; i < 3; i++) {
		fake_bucket_init(&r->s3[i], names[i], i == DST ? 2 : 1);
		r->s3_list[i] = &r->s3[i];
		r->buckets[i] = (struct config_bucket){.name = (char *)(uintptr_t)names[i], .prefix = (char *)(uintptr_t) ""};
	}
	r->config = (struct config){
		.buckets = r->buckets, .bucket_count = 3, .writeback = writeback, .metadata_ttl_ms = 5000,
		.readahead_bytes = 4 * MIB, .file_mode = 0644, .dir_mode = 0755,
	};
	r->fake = fake_s3_new(1);
	r->fake->latency_us = 10000;
	r->sched = sched_new(&sc, &r->fake->backend);
	r->fs = fs_new(&r->config, r->sched, r->s3_list);
	return r;
}

static void count_one(void *arg)
{
	++*(int *)arg;
}

/* Lets everything that is pending become durable. */
void settle(struct rig *r)
{
	int done = 0;

	fs_wait(r->fs, "/", count_one, &done);
	for (int i = 0; !done && i < 100000; i++)
		sched_step(r->sched, 1000);
	assert_int_equal(done, 1);
	for (int i = 0; sched_step(r->sched, 1000) && i < 100000; i++)
		;
}

void rig_free(struct rig *r)
{
	settle(r);
	sched_stop(r->sched);
	fs_free(r->fs);
	sched_free(r->sched);
	fake_s3_free(r->fake);
	free(r);
}

/* ------------------------------------------------------------------------------------------------- calls */

static void on_finish(struct call *c, int err)
{
	struct test_call *t = (struct test_call *)c;

	assert_false(t->finished);
	t->finished = true;
	t->err = err;
}

static void on_data(struct call *c, const struct iovec *iov, int count)
{
	struct test_call *t = (struct test_call *)c;

	t->bytes = calloc(1, c->size + 1);
	for (int i = 0; i < count; i++) {
		memcpy(t->bytes + t->len, iov[i].iov_base, iov[i].iov_len);
		t->len += iov[i].iov_len;
	}
	on_finish(c, 0);
}

struct test_call *call_make(struct rig *r)
{
	struct test_call *t = calloc(1, sizeof(*t));

	t->c.fs = r->fs;
	t->c.finish = on_finish;
	t->c.id = atomic_fetch_add(&r->fs->next_call, 1);
	return t;
}

void call_run(struct rig *r, struct test_call *t)
{
	for (int i = 0; !t->finished && i < 100000; i++)
		sched_step(r->sched, 1000);
	assert_true(t->finished);
}

void call_end(struct test_call *t)
{
	free(t->c.name);
	free(t->c.name2);
	free(t->c.text);
	free(t->c.owned_data);
	free(t->bytes);
	free(t);
}

uint64_t lookup(struct rig *r, uint64_t dir, const char *name, int *err)
{
	struct test_call *t = call_make(r);
	uint64_t ino;

	t->c.ino = dir;
	t->c.name = strdup(name);
	fs_lookup(&t->c);
	call_run(r, t);
	*err = t->err;
	ino = t->err ? 0 : t->c.stat.st_ino;
	call_end(t);
	return ino;
}

/* The inode of PATH, which exists. */
uint64_t walk(struct rig *r, const char *path)
{
	char *copy = strdup(path), *save = NULL;
	uint64_t ino = NODE_ROOT;
	int err;

	for (char *p = strtok_r(copy, "/", &save); p; p = strtok_r(NULL, "/", &save)) {
		ino = lookup(r, ino, p, &err);
		assert_int_equal(err, 0);
	}
	free(copy);
	return ino;
}

int lookup_error(struct rig *r, const char *dir, const char *name)
{
	int err;

	lookup(r, walk(r, dir), name, &err);
	return err;
}

struct handle *create_file(struct rig *r, const char *dir, const char *name)
{
	struct test_call *t = call_make(r);
	struct handle *h;

	t->c.ino = walk(r, dir);
	t->c.name = strdup(name);
	t->c.mode = 0640;
	t->c.flags = O_WRONLY | O_CREAT;
	fs_create(&t->c);
	assert_true(t->finished); /* create never waits */
	assert_int_equal(t->err, 0);
	h = t->c.handle;
	call_end(t);
	return h;
}

struct handle *open_file(struct rig *r, const char *path, int flags, int *err)
{
	struct test_call *t = call_make(r);
	struct handle *h;

	t->c.ino = walk(r, path);
	t->c.flags = flags;
	fs_open(&t->c);
	call_run(r, t);
	*err = t->err;
	h = t->err ? NULL : t->c.handle;
	call_end(t);
	return h;
}

struct handle *open_ok(struct rig *r, const char *path, int flags)
{
	int err;
	struct handle *h = open_file(r, path, flags, &err);

	assert_int_equal(err, 0);
	return h;
}

void write_bytes(struct rig *r, struct handle *h, uint64_t offset, const void *data, size_t size)
{
	struct test_call *t = call_make(r);

	t->c.handle = h;
	t->c.offset = offset;
	t->c.size = size;
	t->c.data = data;
	fs_write(&t->c);
	call_run(r, t);
	assert_int_equal(t->err, 0);
	assert_int_equal(t->c.count, size);
	call_end(t);
}

struct test_call *flush_start(struct rig *r, struct handle *h)
{
	struct test_call *t = call_make(r);

	t->c.handle = h;
	fs_flush(&t->c);
	return t;
}

int flush(struct rig *r, struct handle *h)
{
	struct test_call *t = flush_start(r, h);
	int err;

	call_run(r, t);
	err = t->err;
	call_end(t);
	return err;
}

void release(struct rig *r, struct handle *h)
{
	struct test_call *t = call_make(r);

	t->c.handle = h;
	fs_release(&t->c);
	call_run(r, t);
	call_end(t);
}

int copy_range(struct rig *r, struct handle *from, struct handle *to, uint64_t size)
{
	struct test_call *t = call_make(r);
	int err;

	t->c.handle = from;
	t->c.handle2 = to;
	t->c.size = size;
	fs_copy_range(&t->c);
	assert_true(t->finished); /* copy_file_range never waits */
	err = t->err;
	call_end(t);
	return err;
}

/* What `cp FROM DIR/NAME` does; the error of its close. */
int copy_file(struct rig *r, const char *from, const char *dir, const char *name)
{
	struct handle *in = open_ok(r, from, O_RDONLY), *out = create_file(r, dir, name);
	int err = copy_range(r, in, out, UINT32_MAX);

	if (!err)
		err = flush(r, out);
	release(r, out);
	release(r, in);
	return err;
}

int set_attributes(struct rig *r, const char *path, unsigned mask, mode_t mode, time_t mtime)
{
	struct test_call *t = call_make(r);
	int err;

	t->c.ino = walk(r, path);
	t->c.attr_mask = mask;
	t->c.attr.st_mode = mode;
	t->c.attr.st_mtim.tv_sec = mtime;
	fs_setattr(&t->c);
	call_run(r, t);
	err = t->err;
	call_end(t);
	return err;
}

struct test_call *name_call(struct rig *r, const char *dir, const char *name, void (*op)(struct call *c))
{
	struct test_call *t = call_make(r);

	t->c.ino = walk(r, dir);
	t->c.name = strdup(name);
	t->c.mode = 0755;
	op(&t->c);
	return t;
}

int name_op(struct rig *r, const char *dir, const char *name, void (*op)(struct call *c))
{
	struct test_call *t = name_call(r, dir, name, op);
	int err;

	call_run(r, t);
	err = t->err;
	call_end(t);
	return err;
}

int rename_path(struct rig *r, const char *dir, const char *name, const char *to_dir, const char *to_name)
{
	struct test_call *t = call_make(r);
	int err;

	t->c.ino = walk(r, dir);
	t->c.name = strdup(name);
	t->c.ino2 = walk(r, to_dir);
	t->c.name2 = strdup(to_name);
	fs_rename(&t->c);
	call_run(r, t);
	err = t->err;
	call_end(t);
	return err;
}

char *read_text(struct rig *r, struct handle *h, size_t size)
{
	struct test_call *t = call_make(r);
	char *text;

	t->c.handle = h;
	t->c.size = size;
	fs_read(&t->c, on_data);
	call_run(r, t);
	assert_int_equal(t->err, 0);
	text = t->bytes ? (char *)t->bytes : strdup("");
	t->bytes = NULL;
	call_end(t);
	return text;
}

void assert_object_text(struct rig *r, int bucket, const char *key, const char *text)
{
	struct fake_object *o = fake_find(r->fake, &r->s3[bucket], key);
	char buf[256] = "";

	assert_non_null(o);
	assert_int_equal(o->content.size_bytes, strlen(text));
	content_read(&o->content, 0, buf, strlen(text));
	assert_string_equal(buf, text);
}

uint64_t changes_sent(const struct rig *r)
{
	return r->fake->requests[S3_OP_PUT] + r->fake->requests[S3_OP_COPY] + r->fake->requests[S3_OP_DELETE] +
	       r->fake->requests[S3_OP_UPLOAD_CREATE];
}
