/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inodes: one struct node for every file and directory that the kernel, an open handle or a cached listing knows.
 *
 * Everything here is guarded by fs->lock (the suffix _locked says so). A node lives while the kernel counts lookups on it, somebody
 * holds a reference, it has children, or its parent's cached listing shows it.
 *
 *   what a node says            comes from
 *   size, etag, last_modified   LIST or HEAD (or our own commit)
 *   mode, owner, times          HEAD (meta_known), or the program that made it
 *   content                     set while the file is open for writing or not yet in S3 as it should be */
#ifndef S3B_FS_NODE_H
#define S3B_FS_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include <uthash.h>

#include "s3/base/strbuf.h"
#include "s3/s3.h"
#include "sched/sched.h"

#define NODE_ROOT 1 /* FUSE_ROOT_ID */

struct fs;
struct call;
struct content;

enum node_kind {
	NODE_FILE,
	NODE_DIRECTORY,
	NODE_SYMLINK,
};

enum listing_state {
	LISTING_NONE,     /* never asked, or given up */
	LISTING_RUNNING,
	LISTING_COMPLETE, /* every entry is a child; fresh until listed_ms + ttl */
	LISTING_PARTIAL,  /* too long for a lookup to fetch: names are asked for one by one */
};

struct directory {
	struct node *children;      /* uthash by name, in the order of the listing */
	enum listing_state listing;
	bool listing_whole;         /* the running listing goes to the end whatever its length */
	bool listing_again;         /* something changed while it ran: its end is not fresh */
	int listing_errno;          /* of the last listing that failed; 0 */
	int64_t taken_from_ms;      /* when a program here last took an entry away, from it or from below */
	int64_t listed_ms;          /* when the last complete one was started */
	uint32_t listing_round;     /* children not seen in the current round are gone */
	struct call *waiters;       /* for the listing */
	unsigned head_window;       /* HEADs to run ahead when the next one is missing (ahead.c) */
	bool walked;                /* a program has read it */
	bool expected;              /* ... or will, as it looks */
	bool asked;                 /* somebody wanted attributes of what is in it */
};

struct node {
	uint64_t ino;
	struct node *parent;  /* NULL for the root and for what was unlinked */
	char *name;
	enum node_kind kind;
	unsigned bucket;      /* index into the config; meaningless for the root */
	bool is_bucket;       /* top-level directory */
	bool unlinked;
	bool moving;           /* a directory that is being renamed: no commit below it starts */
	unsigned handles;      /* open(2)s; an unlinked file stays usable while there are any */
	char *delete_key;      /* unlinked while open: the object is deleted when the last handle goes */
	struct node *delete_dir; /* where it was (one reference) */

	uint64_t lookups;     /* the kernel's */
	unsigned refs;        /* ours: handles, changes, requests in flight */

	mode_t mode;          /* permissions only */
	uid_t uid;
	gid_t gid;
	struct timespec mtime;
	uint64_t size_bytes;

	struct sched_source *base; /* the object as it is in S3; NULL: none there (or a directory) */
	struct sched_source *cached; /* what the kernel's page cache holds pages of, if any; NULL: it may be anything */
	struct timespec last_modified;
	struct s3_headers headers; /* of the object, once HEAD or a commit told them */
	bool meta_known;
	int64_t checked_ms;        /* when S3 last said so */
	uint64_t checked_seq;      /* ... and after which questions: an answer to an older one does not count (fs->next_ask) */
	uint32_t listing_round;    /* of the parent */
	bool head_running;
	int head_errno;            /* of the last HEAD that failed; cleared by the next */
	int64_t head_ms;           /* when it was answered */
	struct call *waiters;      /* for HEAD */
	char *target;              /* symlink, once read */

	struct content *content;   /* files */
	struct change *change;     /* directories: the marker is on its way to S3 */
	bool marker_again;         /* directories: attributes changed while the marker was on its way */
	int marker_errno;          /* directories: of the last marker that failed, for those who wait for it */
	struct directory *dir;     /* directories */

	UT_hash_handle hh;         /* fs->nodes by ino */
	UT_hash_handle hh_child;   /* parent->dir->children by name */
};

/* A node without a parent; with a fresh inode number. NULL: out of memory. */
struct node *node_new_locked(struct fs *fs, enum node_kind kind, const char *name);
/* Puts N below PARENT; the name must be free there. */
void node_attach_locked(struct node *parent, struct node *n);
/* Takes N out of its parent's children: it has no name any more. */
void node_detach_locked(struct fs *fs, struct node *n);
/* Frees N when nothing holds it, and then its parents likewise. */
void node_maybe_free_locked(struct fs *fs, struct node *n);
void node_ref_locked(struct node *n);
void node_unref_locked(struct fs *fs, struct node *n);

struct node *node_by_ino_locked(struct fs *fs, uint64_t ino);
struct node *node_child_locked(struct node *dir, const char *name);
int node_rename_locked(struct node *n, const char *name); /* changes the name string of a detached node; 0 or -ENOMEM */

/* The S3 key that N's place in the tree stands for: with the bucket's prefix; directories with a final slash ("" for the
 * top of a bucket without prefix). 0, -ENOMEM, or -ENAMETOOLONG beyond KEY_MAX_BYTES. */
int node_key_locked(struct fs *fs, const struct node *n, struct strbuf *key);
/* The file that has KEY now, among the nodes that are known; NULL. */
struct node *node_by_key_locked(struct fs *fs, unsigned bucket, const char *key);
/* "/bucket/dir/file", for people. */
void node_path_locked(const struct node *n, struct strbuf *path);
bool node_is_below_locked(const struct node *n, const struct node *ancestor);
void node_taken_from_locked(struct fs *fs, struct node *dir);
bool node_is_moving_locked(const struct fs *fs, const struct node *n); /* or what it is in */

/* Attributes out of HEADERS (or the mount's defaults where they say nothing). */
void node_apply_headers_locked(struct fs *fs, struct node *n, const struct s3_headers *headers, struct timespec last_modified);
/* The headers a commit of N should carry: what the object had, and the attributes. 0 or -ENOMEM. */
int node_make_headers_locked(struct fs *fs, const struct node *n, struct s3_headers *out);

void node_stat_locked(struct fs *fs, const struct node *n, struct stat *st);

/* Has N changes that S3 does not have yet? Then what S3 says about it does not count. */
bool node_is_ours_locked(const struct node *n);

#endif
