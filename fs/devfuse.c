/* SPDX-License-Identifier: GPL-3.0-or-later */
/* /dev/fuse by our own hand. */
#include "fs/devfuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "fs/mounts.h"
#include "s3/base/cleanup.h"

#define CLAIMED (FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2)

/* There is one session in the process and one INIT in a session's life; it is read and answered by one thread before
 * any other request comes. */
static uint64_t init_unique;
static uint32_t init_flags;

static ssize_t read_request(int fd, void *buf, size_t size, void *userdata)
{
	const struct fuse_in_header *in = buf;
	const struct fuse_init_in *init = (const void *)(in + 1);
	ssize_t len = read(fd, buf, size);

	/* Also a plain unmount says so when it meets a request that is just being read (fuse_dev_do_read); from then on it is ENODEV. */
	if (len < 0 && errno == ECONNABORTED)
		len = read(fd, buf, size);
	if (len >= (ssize_t)(sizeof(*in) + offsetof(struct fuse_init_in, flags2)) && in->opcode == FUSE_INIT) {
		init_unique = in->unique;
		init_flags = init->flags;
	}
	return len;
}

static ssize_t write_answer(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	struct fuse_init_out init;

	if (!init_flags || out->unique != init_unique || out->error || count != 2 ||
	    iov[1].iov_len < offsetof(struct fuse_init_out, flags) + sizeof(init.flags) ||
	    iov[1].iov_len > sizeof(init))
		return writev(fd, iov, count);
	memcpy(&init, iov[1].iov_base, iov[1].iov_len);
	init.flags |= init_flags & CLAIMED;
	init_flags = 0;
	return writev(fd, (struct iovec[]){iov[0], {&init, iov[1].iov_len}}, 2);
}

static int explain(int code, const char *mountpoint, char *err, size_t err_size)
{
	const char *why = strerror(code);

	if (code == EPERM || code == EACCES)
		why = "not permitted: mounting needs the capability CAP_SYS_ADMIN (in a container: give it that)";
	else if (code == ENODEV)
		why = "this kernel has no FUSE: run \"modprobe fuse\"";
	snprintf(err, err_size, "cannot mount %s: %s", mountpoint, why);
	return -1;
}

static int open_device(char *err, size_t err_size)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		snprintf(err, err_size, "cannot open /dev/fuse: %s: %s", strerror(errno),
			 errno == EACCES || errno == EPERM
				 ? "mount as root, or ask for access to that device"
				 : "run \"modprobe fuse\", or give the container that device");
	return fd;
}

static bool others_are_allowed(void)
{
	CLEANUP_FCLOSE FILE *f = fopen("/etc/fuse.conf", "re");
	char line[256], word[32];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " %31s", word) == 1 && strcmp(word, "user_allow_other") == 0)
			return true;
	return false;
}

int devfuse_check_user(bool allow_other, char *err, size_t err_size)
{
	int fd = open_device(err, err_size);

	if (fd < 0)
		return -1;
	close(fd);
	if (!allow_other || others_are_allowed())
		return 0;
	snprintf(err, err_size,
		 "allow_other and allow_root are for root only: add the line user_allow_other to /etc/fuse.conf, or "
		 "mount as root");
	return -1;
}

int devfuse_mount(struct fuse_session *se, const struct devfuse_options *options, char *err, size_t err_size)
{
	static const struct fuse_custom_io io = {.read = read_request, .writev = write_answer};
	unsigned long flags =
		MS_NOSUID | MS_NODEV | (options->readonly ? MS_RDONLY : 0) | (options->noexec ? MS_NOEXEC : 0);
	char data[160];
	int ret, fd = open_device(err, err_size);

	if (fd < 0)
		return -1;
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions%s", fd, getuid(),
		 getgid(), options->allow_other ? ",allow_other" : "");
	if (mount(options->source, options->mountpoint, MOUNTS_TYPE, flags, data) < 0) {
		ret = errno;
		close(fd);
		return explain(ret, options->mountpoint, err, err_size);
	}
	ret = fuse_session_custom_io(se, &io, fd);
	if (ret) {
		umount2(options->mountpoint, MNT_DETACH);
		close(fd);
		snprintf(err, err_size, "cannot start the FUSE session: %s", strerror(ret < 0 ? -ret : ret));
		return -1;
	}
	return 0;
}

void devfuse_unmount(struct fuse_session *se, const char *mountpoint)
{
	struct pollfd pfd = {.fd = fuse_session_fd(se)};

	/* The kernel flags an error once the mount is gone; what is at the mount point then is somebody else's. */
	if (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLERR))
		return;
	umount2(mountpoint, MNT_DETACH);
}
