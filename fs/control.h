/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The virtual directory MOUNTPOINT/.s3bridge (hidden from readdir, owner only): how the s3bridge commands talk to the
 * daemon, and where people and monitoring look. Knows nothing of FUSE: fs/ops serves its files.
 *
 *   status.json  made at open
 *   control      one command per open: one write is one command, the read waits until its answer is there (offset 0
 *                is the beginning of the answer, so files are opened with direct_io, and not "nonseekable")
 *                  wait PATH      PATH as the mount sees it, "/" is all; a newline may end it
 *                  -> {"pending": N, "pending_bytes": N, "failed": N, "failures": [{"path": "...", "error": "..."}]}
 *                An interrupted read (EINTR) may be repeated: the command goes on until the file is closed.
 */
#ifndef S3B_FS_CONTROL_H
#define S3B_FS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_DIR ".s3bridge"

struct fs;
struct control_file;

/* Names of the files, NULL-terminated, in order; the index is their identity. */
extern const char *const control_names[];
bool control_is_writable(int index);

/* NULL: out of memory. */
struct control_file *control_open(struct fs *fs, int index);
/* REPLY is called once, on any thread, possibly during the call. ERR is a positive errno. */
typedef void (*control_reply_fn)(void *arg, int err, const void *data, size_t len);
void control_read(struct control_file *f, uint64_t offset, size_t size, control_reply_fn reply, void *arg);
/* The waiting read with this ARG is answered EINTR, if it still waits. */
void control_interrupt(struct control_file *f, void *arg);
/* Bytes taken, or -errno. */
int control_write(struct control_file *f, const char *data, size_t len);
void control_close(struct control_file *f);
/* The kernel has gone: closes the files whose RELEASE did not come. No wait may run any more. */
void control_end(void);

#endif
