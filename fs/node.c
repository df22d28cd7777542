/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inode table and the tree. */
#include "fs/node.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/internal.h"
#include "fs/keys.h"
#include "fs/meta.h"

struct node *node_new_locked(struct fs *fs, enum node_kind kind, const char *name)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->name = strdup(name);
	if (kind == NODE_DIRECTORY)
		n->dir = calloc(1, sizeof(*n->dir));
	if (!n->name || (kind == NODE_DIRECTORY && !n->dir)) {
		free(n->name);
		free(n->dir);
		free(n);
		return NULL;
	}
	n->kind = kind;
	n->ino = fs->next_ino++;
	n->uid = fs->config->uid;
	n->gid = fs->config->gid;
	n->mode = kind == NODE_DIRECTORY ? fs->config->dir_mode : fs->config->file_mode;
	n->mtime = fs->started;
	HASH_ADD(hh, fs->nodes, ino, sizeof(n->ino), n);
	fs->stats.nodes++;
	return n;
}

void node_attach_locked(struct node *parent, struct node *n)
{
	assert(parent->dir && !n->parent);
	n->parent = parent;
	n->bucket = parent->parent ? parent->bucket : n->bucket;
	HASH_ADD_KEYPTR(hh_child, parent->dir->children, n->name, strlen(n->name), n);
}

void node_detach_locked(struct fs *fs, struct node *n)
{
	struct node *parent = n->parent;

	if (!parent)
		return;
	HASH_DELETE(hh_child, parent->dir->children, n);
	n->parent = NULL;
	node_maybe_free_locked(fs, parent);
}

static void node_free(struct fs *fs, struct node *n)
{
	assert(!n->content && !n->waiters);
	HASH_DELETE(hh, fs->nodes, n);
	fs->stats.nodes--;
	if (n->dir) {
		assert(!n->dir->children && !n->dir->waiters);
		free(n->dir);
	}
	sched_source_unref(n->base);
	sched_source_unref(n->cached);
	s3_headers_clear(&n->headers);
	free(n->target);
	free(n->delete_key);
	free(n->name);
	free(n);
}

/* A child that only a cached listing needs goes with that listing (listing.c); here it stays. */
static bool node_is_held(const struct node *n)
{
	if (n->lookups || n->refs || n->is_bucket || n->ino == NODE_ROOT || n->content || n->head_running)
		return true;
	if (n->dir && (n->dir->children || n->dir->listing == LISTING_RUNNING))
		return true;
	return n->parent && (n->parent->dir->listing == LISTING_COMPLETE || n->parent->dir->listing == LISTING_RUNNING);
}

void node_maybe_free_locked(struct fs *fs, struct node *n)
{
	while (n && !node_is_held(n)) {
		struct node *parent = n->parent;

		if (parent)
			HASH_DELETE(hh_child, parent->dir->children, n);
		node_free(fs, n);
		n = parent;
	}
}

void node_ref_locked(struct node *n)
{
	n->refs++;
}

void node_unref_locked(struct fs *fs, struct node *n)
{
	assert(n->refs);
	n->refs--;
	node_maybe_free_locked(fs, n);
}

struct node *node_by_ino_locked(struct fs *fs, uint64_t ino)
{
	struct node *n;

	HASH_FIND(hh, fs->nodes, &ino, sizeof(ino), n);
	return n;
}

struct node *node_child_locked(struct node *dir, const char *name)
{
	struct node *n;

	HASH_FIND(hh_child, dir->dir->children, name, strlen(name), n);
	return n;
}

int node_rename_locked(struct node *n, const char *name)
{
	char *copy = strdup(name);

	assert(!n->parent);
	if (!copy)
		return -ENOMEM;
	free(n->name);
	n->name = copy;
	return 0;
}

int node_key_locked(struct fs *fs, const struct node *n, struct strbuf *key)
{
	char piece[KEY_NAME_MAX + 1];
	bool object_only;
	int len;

	strbuf_reset(key);
	if (n->is_bucket) {
		strbuf_addstr(key, fs->config->buckets[n->bucket].prefix);
		return key->failed ? -ENOMEM : 0;
	}
	if (!n->parent)
		return -ENOENT;
	len = node_key_locked(fs, n->parent, key);
	if (len < 0)
		return len;
	len = key_name_to_piece(n->name, piece, &object_only);
	if (len < 0)
		return len;
	strbuf_add(key, piece, (size_t)len);
	if (n->kind == NODE_DIRECTORY)
		strbuf_addch(key, '/');
	if (key->failed)
		return -ENOMEM;
	return key->len > KEY_MAX_BYTES ? -ENAMETOOLONG : 0;
}

struct node *node_by_key_locked(struct fs *fs, unsigned bucket, const char *key)
{
	CLEANUP_STRBUF struct strbuf prefix = STRBUF_INIT;
	char name[KEY_NAME_MAX + 1];
	struct node *n, *top = NULL, *child;
	const char *slash;

	for (n = fs->root->dir->children; n; n = n->hh_child.next)
		if (n->bucket == bucket)
			top = n;
	if (!top || node_key_locked(fs, top, &prefix) < 0 || strncmp(key, prefix.data ? prefix.data : "", prefix.len) != 0)
		return NULL;
	n = top;
	for (key += prefix.len; (slash = strchr(key, '/')); key = slash + 1) {
		if (key_piece_to_name(key, (size_t)(slash - key), false, name) < 0)
			return NULL;
		n = node_child_locked(n, name);
		if (!n || !n->dir)
			return NULL;
	}
	for (int beside = 0; beside <= 1; beside++) {
		child = key_piece_to_name(key, strlen(key), beside, name) < 0 ? NULL : node_child_locked(n, name);
		if (child && !child->dir)
			return child;
	}
	return NULL;
}

void node_path_locked(const struct node *n, struct strbuf *path)
{
	if (!n->parent) {
		if (n->ino != NODE_ROOT)
			strbuf_addstr(path, n->name);
		return;
	}
	node_path_locked(n->parent, path);
	strbuf_addch(path, '/');
	strbuf_addstr(path, n->name);
}

bool node_is_below_locked(const struct node *n, const struct node *ancestor)
{
	for (; n; n = n->parent)
		if (n == ancestor)
			return true;
	return false;
}

void node_taken_from_locked(struct fs *fs, struct node *dir)
{
	for (; dir; dir = dir->parent)
		dir->dir->taken_from_ms = fs_now_ms(fs);
}

bool node_is_moving_locked(const struct fs *fs, const struct node *n)
{
	for (; fs->moves && n; n = n->parent)
		if (n->moving)
			return true;
	return false;
}

void node_apply_headers_locked(struct fs *fs, struct node *n, const struct s3_headers *headers, struct timespec last_modified)
{
	struct meta_attr a;

	meta_decode(headers, &a);
	if (n->kind != NODE_DIRECTORY)
		n->kind = a.has_mode && S_ISLNK(a.mode) ? NODE_SYMLINK : NODE_FILE;
	if (a.has_mode)
		n->mode = a.mode & 01777;
	else
		n->mode = n->kind == NODE_DIRECTORY ? fs->config->dir_mode : fs->config->file_mode;
	n->uid = a.has_uid ? a.uid : fs->config->uid;
	n->gid = a.has_gid ? a.gid : fs->config->gid;
	n->mtime = a.has_mtime ? a.mtime : last_modified;
	if (headers != &n->headers && s3_headers_copy(&n->headers, headers) < 0)
		s3_headers_clear(&n->headers);
	n->last_modified = last_modified;
	n->meta_known = true;
}

int node_make_headers_locked(struct fs *fs, const struct node *n, struct s3_headers *out)
{
	static const mode_t type[] = {[NODE_FILE] = S_IFREG, [NODE_DIRECTORY] = S_IFDIR, [NODE_SYMLINK] = S_IFLNK};
	struct meta_attr a = {
		.has_mode = true, .has_uid = true, .has_gid = true, .has_mtime = true,
		.mode = n->mode | type[n->kind], .uid = n->uid, .gid = n->gid, .mtime = n->mtime,
	};

	(void)fs;
	if (s3_headers_copy(out, &n->headers) < 0)
		return -ENOMEM;
	return meta_encode(out, &a);
}

bool node_is_ours_locked(const struct node *n)
{
	if (n->change)
		return true;
	return n->content && (n->content->writers || n->content->committing || content_is_dirty_locked(n->content));
}

void node_stat_locked(struct fs *fs, const struct node *n, struct stat *st)
{
	uint64_t size = n->content ? n->content->recipe.size_bytes : n->size_bytes;

	(void)fs;
	memset(st, 0, sizeof(*st));
	st->st_ino = n->ino;
	st->st_uid = n->uid;
	st->st_gid = n->gid;
	st->st_mtim = st->st_ctim = st->st_atim = n->mtime;
	st->st_nlink = 1;
	switch (n->kind) {
	case NODE_DIRECTORY:
		st->st_mode = S_IFDIR | n->mode;
		st->st_nlink = 2;
		size = 0;
		break;
	case NODE_SYMLINK:
		st->st_mode = S_IFLNK | 0777;
		break;
	case NODE_FILE:
		st->st_mode = S_IFREG | n->mode;
		break;
	}
	st->st_size = (off_t)size;
	/* At least size/512, or cp looks for holes instead of calling copy_file_range. */
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
	st->st_blksize = 1 << 20;
}
