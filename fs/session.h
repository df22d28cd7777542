/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The FUSE session: mount, what is agreed with the kernel, the loop, signals. */
#ifndef S3B_FS_SESSION_H
#define S3B_FS_SESSION_H

#include <stddef.h>

struct fs;
struct fuse_conn_info;

/* Runs once, on a thread of its own, when the mount answers (ERR 0) or does not (a positive errno; the session then
 * ends). */
typedef void (*session_ready_fn)(void *arg, int err);

struct session;

/* NULL with a sentence in ERR. */
struct session *session_new(struct fs *fs, session_ready_fn ready, void *arg, char *err, size_t err_size);

/* Mounts and serves until the mount is unmounted or SIGTERM, SIGINT or SIGHUP comes; then it is unmounted. To be called
 * on the main thread with those signals blocked (session_block_signals), and so they are when it returns.
 * 0, or -1 with a sentence in ERR. */
int session_run(struct session *s, char *err, size_t err_size);

/* What is still being answered refers to the session: it outlives the scheduler's callbacks (sched_stop first). */
void session_free(struct session *s);

/* In every thread that is started afterwards, too: libfuse needs the signal to interrupt the main thread. */
void session_block_signals(void);

/* The INIT operation of fs_ops. */
void session_init(void *userdata, struct fuse_conn_info *conn);

#endif
