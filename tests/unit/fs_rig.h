/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core of the file system on a fake S3 with a virtual clock, and the calls that a program would make of it. Failed assertions end the
 * running cmocka test. */
#ifndef S3B_TEST_FS_RIG_H
#define S3B_TEST_FS_RIG_H

#include "fs/fs.h"
#include "fs/internal.h"
#include "tests/unit/fake_s3.h"

#define MIB ((uint64_t)1 << 20)

struct rig {
	struct config config;
	struct config_bucket buckets[3]; /* src and near are one account, dst is another */
	struct s3_bucket s3[3];
	struct s3_bucket *s3_list[3];
	struct fake_s3 *fake;
	struct sched *sched;
	struct fs *fs;
};

enum { SRC, DST, NEAR };

struct test_call {
	struct call c; /* first */
	bool finished;
	int err;
	unsigned char *bytes;
	size_t len;
};

struct rig *rig_new(enum writeback writeback);
/* Lets everything that is pending become durable. */
void settle(struct rig *r);
void rig_free(struct rig *r);
struct test_call *call_make(struct rig *r);
void call_run(struct rig *r, struct test_call *t);
void call_end(struct test_call *t);
uint64_t lookup(struct rig *r, uint64_t dir, const char *name, int *err);
/* The inode of PATH, which exists. */
uint64_t walk(struct rig *r, const char *path);
int lookup_error(struct rig *r, const char *dir, const char *name);
struct handle *create_file(struct rig *r, const char *dir, const char *name);
struct handle *open_file(struct rig *r, const char *path, int flags, int *err);
struct handle *open_ok(struct rig *r, const char *path, int flags);
void write_bytes(struct rig *r, struct handle *h, uint64_t offset, const void *data, size_t size);
struct test_call *flush_start(struct rig *r, struct handle *h);
int flush(struct rig *r, struct handle *h);
void release(struct rig *r, struct handle *h);
int copy_range(struct rig *r, struct handle *from, struct handle *to, uint64_t size);
/* What `cp FROM DIR/NAME` does; the error of its close. */
int copy_file(struct rig *r, const char *from, const char *dir, const char *name);
int set_attributes(struct rig *r, const char *path, unsigned mask, mode_t mode, time_t mtime);
struct test_call *name_call(struct rig *r, const char *dir, const char *name, void (*op)(struct call *c));
int name_op(struct rig *r, const char *dir, const char *name, void (*op)(struct call *c));
int rename_path(struct rig *r, const char *dir, const char *name, const char *to_dir, const char *to_name);
char *read_text(struct rig *r, struct handle *h, size_t size);
void assert_object_text(struct rig *r, int bucket, const char *key, const char *text);
uint64_t changes_sent(const struct rig *r);

#endif
