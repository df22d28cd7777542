/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The virtual directory MOUNTPOINT/.s3bridge (hidden from readdir, owner only): how the s3bridge commands talk to the
 * daemon, and where people and monitoring look. Knows nothing of FUSE: fs/ops serves its files.
 *
 *   status.json  what "s3bridge status --json" prints
 *   report.json  the history of the run: see fs/report_data.h
 *   metrics      the figures of it, in Prometheus' text format
 *   jobs         a line for each running or waiting change
 *   advice       a sentence a line
 *                These five are made at open, and stay what they were then. Nothing of it waits for S3.
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
#include <time.h>

#define CONTROL_DIR ".s3bridge"

struct fs;
struct control_file;

/* Names of the files, NULL-terminated, in order; the index is their identity. */
extern const char *const control_names[];
bool control_is_writable(int index);

/* OPENED is called once, on any thread, possibly during the call: the list of changes is the scheduler's. NULL: out of memory. */
typedef void (*control_opened_fn)(void *arg, struct control_file *f);
void control_open(struct fs *fs, int index, control_opened_fn opened, void *arg);
/* The length of F, or without F of what the last open of INDEX found, and when it was made. For the size in stat(2): less and
 * tail believe it, and whoever asks by path or descriptor has mostly just opened the file. */
struct control_size {
	size_t bytes;
	struct timespec made;
};
void control_size(const struct control_file *f, int index, struct control_size *out);
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
