/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The configuration: what is accepted, and the sentence for everything that is not. */
#include "fs/config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/config_keys.h"
#include "fs/memory_limit.h"
#include "s3/s3.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* Stands in for s3/credentials.c. */
static struct s3_credentials found;
static const char *load_error;
static unsigned loads;

int s3_credentials_load(struct s3_credentials *c, const char *profile, char *err, size_t err_size)
{
	loads++;
	*c = (struct s3_credentials){0};
	if (load_error) {
		snprintf(err, err_size, "%s", load_error);
		return -1;
	}
	c->access_key_id = found.access_key_id ? strdup(found.access_key_id) : NULL;
	c->secret_access_key = found.secret_access_key ? strdup(found.secret_access_key) : NULL;
	c->region = found.region ? strdup(found.region) : NULL;
	c->endpoint = found.endpoint ? strdup(found.endpoint) : NULL;
	return 0;
}

void s3_credentials_clear(struct s3_credentials *c)
{
	free(c->access_key_id);
	free(c->secret_access_key);
	free(c->session_token);
	free(c->region);
	free(c->endpoint);
}

struct fixture {
	struct config c;
	char dir[32];  /* a directory of the test's own */
	char file[48]; /* DIR/conf */
	char err[1024];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/s3bridge-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->file, sizeof(f->file), "%s/conf", f->dir);
	config_init(&f->c);
	found = (struct s3_credentials){0};
	load_error = NULL;
	loads = 0;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	config_clear(&f->c);
	unlink(f->file);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fchmod(fileno(out), mode), 0);
	fclose(out);
}

static int read_text(struct fixture *f, const char *text)
{
	write_file(f->file, text, 0600);
	return config_read_file(&f->c, f->file, f->err, sizeof(f->err));
}

static void restart(struct fixture *f)
{
	config_clear(&f->c);
	config_init(&f->c);
	f->err[0] = '\0';
}

static void assert_says(const char *err, const char *part)
{
	if (!strstr(err, part))
		fail_msg("\"%s\" does not say \"%s\"", err, part);
}

/* ------------------------------------------------------------------------------------------------------ file */

static void file_sets_every_key(void **state)
{
	struct fixture *f = *state;
	const struct config_bucket *b;

	assert_int_equal(read_text(f, "# a comment\n"
				      "[photos]\n"
				      "bucket = my-photos\n"
				      "prefix=2024/summer\n"
				      "  endpoint =   https://s3.example.com:9000/base  \n"
				      "region = eu-west-1\r\n"
				      "access_key_id = AKIA\n"
				      "secret_access_key = a/b+c;d#e=f\n"
				      "session_token = token\n"
				      "ca_file = /etc/ca.pem\n"
				      "path_style = yes\n"
				      "readonly = on\n"
				      "; another\n"
				      "\n"
				      "[s3bridge]\n"
				      "writeback = all\n"
				      "memory_limit = 1GiB\n"
				      "priority_queues = no\n"
				      "streaming_optimizer = off\n"
				      "low_from = 50MB\n"
				      "concurrency = 24\n"
				      "chunk_workers = 16\n"
				      "part_size = 8M\n"
				      "metadata_ttl = 0.25\n"
				      "readahead = 4M\n"
				      "uid = 1234\n"
				      "gid = 5678\n"
				      "file_mode = 0640\n"
				      "dir_mode = 0750\n"
				      "allow_other = true\n"
				      "fsname = data\n"),
			 0);
	assert_int_equal(f->c.bucket_count, 1);
	b = &f->c.buckets[0];
	assert_string_equal(b->name, "photos");
	assert_string_equal(b->bucket, "my-photos");
	assert_string_equal(b->prefix, "2024/summer/");
	assert_string_equal(b->endpoint, "https://s3.example.com:9000/base");
	assert_string_equal(b->region, "eu-west-1");
	assert_string_equal(b->secret_access_key, "a/b+c;d#e=f");
	assert_string_equal(b->session_token, "token");
	assert_string_equal(b->ca_file, "/etc/ca.pem");
	assert_int_equal(b->path_style, 1);
	assert_true(b->readonly);
	assert_int_equal(f->c.writeback, WRITEBACK_ALL);
	assert_int_equal(f->c.memory_limit_bytes, 1u << 30);
	assert_false(f->c.priority_queues);
	assert_false(f->c.streaming_optimizer);
	assert_true(f->c.dynamic_memory); /* unless turned off */
	assert_true(f->c.network_monitor);
	assert_int_equal(f->c.low_from_bytes, 50000000);
	assert_int_equal(f->c.concurrency, 24);
	assert_int_equal(f->c.chunk_workers, 16);
	assert_int_equal(f->c.part_size_bytes, 8u << 20);
	assert_int_equal(f->c.metadata_ttl_ms, 250);
	assert_int_equal(f->c.readahead_bytes, 4u << 20);
	assert_int_equal(f->c.uid, 1234);
	assert_int_equal(f->c.gid, 5678);
	assert_int_equal(f->c.file_mode, 0640);
	assert_int_equal(f->c.dir_mode, 0750);
	assert_true(f->c.allow_other);
	assert_string_equal(f->c.fsname, "data");
}

static void file_errors_name_the_line(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"[a]\nbucket = b\nregoin = x\n", "conf:3: unknown key \"regoin\" in [a] (did you mean \"region\"?)"},
		{"[a]\nbucket = b\nsecret-access-key = x\n", "did you mean \"secret_access_key\"?"},
		{"[a]\nbucket = b\nzzzzzz = x\n", "conf:3: unknown key \"zzzzzz\" in [a]"},
		{"[s3bridge]\nbucket = b\n", "conf:2: unknown key \"bucket\" in [s3bridge]"},
		{"bucket = b\n", "conf:1: a key before the first section"},
		{"[a]\nbucket\n", "conf:2: expected \"key = value\""},
		{"[a\n", "conf:1: a section is written as [NAME]"},
		{"[a] x\n", "conf:1: a section is written as [NAME]"},
		{"[a]\nregion = r\n", "[a] does not say which bucket"},
		{"[a]\nregion = r\n[b]\nbucket = b\n", "conf:3: [a] does not say which bucket"},
		{"[a]\nbucket = b\n[a]\nbucket = c\n", "conf:3: the name \"a\" is given twice"},
		{"[.s3bridge]\n", "conf:1: the name \".s3bridge\" is taken by the mount"},
		{"[..]\n", "cannot be the name"},
		{"[a/b]\n", "cannot be the name"},
		{"[]\n", "cannot be the name"},
		{"[a]\nbucket =\n", "conf:2: bucket in [a] is \"\": expected the name of a bucket"},
		{"[a]\nbucket = b\nreadonly = maybe\n", "conf:3: readonly in [a] is \"maybe\": expected yes or no"},
		{"[s3bridge]\nchunk_workers = 0\n",
		 "conf:2: chunk_workers in [s3bridge] is \"0\": expected a number from 1"},
		{"[s3bridge]\nchunk_workers = -3\n", "expected a number from 1"},
		{"[s3bridge]\nchunk_workers = 99999999999999999999\n", "expected a number from 1"},
		{"[s3bridge]\nmemory_limit = 8M\n", "expected a size of at least 32M"},
		{"[s3bridge]\npart_size = 1M\n", "expected a size from 5MiB"},
		{"[s3bridge]\npart_size = 5x\n", "expected a size from 5MiB"},
		{"[s3bridge]\nwriteback = some\n", "expected none or all"},
		{"[s3bridge]\nfile_mode = 0888\n", "expected an octal mode"},
		{"[s3bridge]\nfile_mode = 7777\n", "expected an octal mode"},
		{"[s3bridge]\nmetadata_ttl = -1\n", "expected a number of seconds"},
		{"[s3bridge]\nmetadata_ttl = nan\n", "expected a number of seconds"},
		{"[s3bridge]\nuid = no-such-user-here\n", "expected a user's name or number"},
		{"[s3bridge]\nuid = 4294967295\n", "expected a user's name or number"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		restart(f);
		assert_int_equal(read_text(f, cases[i].text), -1);
		assert_says(f->err, cases[i].says);
		assert_null(strchr(f->err, '\n'));
	}
}

static void file_with_a_secret_that_others_can_read_is_refused(void **state)
{
	static const mode_t modes[] = {0644, 0640, 0620, 0604};
	struct fixture *f = *state;
	const char *text = "[a]\nbucket = b\nsecret_access_key = SECRETVALUE\naccess_key_id = K\n";

	for (size_t i = 0; i < LENGTH(modes); i++) {
		restart(f);
		write_file(f->file, text, modes[i]);
		assert_int_equal(config_read_file(&f->c, f->file, f->err, sizeof(f->err)), -1);
		assert_says(f->err, "holds a secret_access_key and others can read it: chmod 600");
		assert_says(f->err, f->file);
		assert_null(strstr(f->err, "SECRETVALUE"));
	}
	restart(f);
	write_file(f->file, "[a]\nbucket = b\n", 0644);
	assert_int_equal(config_read_file(&f->c, f->file, f->err, sizeof(f->err)), 0);
}

static void long_names_and_values_are_kept_whole(void **state)
{
	struct fixture *f = *state;
	char name[200], token[3000], text[4000];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memset(token, 't', sizeof(token) - 1);
	token[sizeof(token) - 1] = '\0';
	snprintf(text, sizeof(text), "[%s]\nbucket = b\nsession_token = %s", name, token);
	assert_int_equal(read_text(f, text), 0);
	assert_string_equal(f->c.buckets[0].name, name);
	assert_string_equal(f->c.buckets[0].session_token, token);
}

static void file_that_is_no_text_is_refused(void **state)
{
	struct fixture *f = *state;
	FILE *out = fopen(f->file, "w");

	assert_non_null(out);
	fwrite("[a]\nbuck\0et = b\n", 1, 16, out);
	fclose(out);
	assert_int_equal(config_read_file(&f->c, f->file, f->err, sizeof(f->err)), -1);
	assert_says(f->err, "conf:2: a zero byte");
	assert_int_equal(config_read_file(&f->c, f->dir, f->err, sizeof(f->err)), -1);
	assert_says(f->err, "is a directory");
	assert_int_equal(config_read_file(&f->c, "/nonexistent/x", f->err, sizeof(f->err)), -1);
	assert_says(f->err, "cannot read the config file /nonexistent/x: No such file");
}

/* ------------------------------------------------------------------------------------------------- arguments */

static void argument_is_taken_apart(void **state)
{
	struct fixture *f = *state;
	const struct config_bucket *b;

	assert_int_equal(config_add_argument(&f->c, "a=s3://one", f->err, sizeof(f->err)), 0);
	assert_int_equal(
		config_add_argument(&f->c,
				    "b=s3://two/p%3Fq/r?endpoint=http%3A%2F%2Fh:9000&region=x&path_style=1&readonly=1&"
				    "ca_file=/a%20b&profile=me",
				    f->err, sizeof(f->err)),
		0);
	assert_int_equal(f->c.bucket_count, 2);
	b = &f->c.buckets[0];
	assert_string_equal(b->name, "a");
	assert_string_equal(b->bucket, "one");
	assert_string_equal(b->prefix, "");
	assert_int_equal(b->path_style, -1);
	b = &f->c.buckets[1];
	assert_string_equal(b->bucket, "two");
	assert_string_equal(b->prefix, "p?q/r/");
	assert_string_equal(b->endpoint, "http://h:9000");
	assert_string_equal(b->region, "x");
	assert_string_equal(b->profile, "me");
	assert_string_equal(b->ca_file, "/a b");
	assert_int_equal(b->path_style, 1);
	assert_true(b->readonly);
}

static void argument_errors_are_sentences(void **state)
{
	static const struct {
		const char *arg, *says;
	} cases[] = {
		{"one", "\"one\" is no bucket: write NAME=s3://BUCKET"},
		{"=s3://one", "is no bucket"},
		{"a=s3://", "no bucket named"},
		{"a=s3:///x", "no bucket named"},
		{"a=s3://one?regio=x", "unknown key \"regio\" in a (did you mean \"region\"?)"},
		{"a=s3://one?region", "key=value pairs"},
		{"a=s3://one?region=%zz", "must begin an escape"},
		{"a=s3://one?bucket=x", "the bucket is written before the ?"},
		{"a=s3://one?secret_access_key=HIDDEN", "secret_access_key does not belong on a command line"},
		{"a=s3://one?session_token=HIDDEN", "session_token does not belong on a command line"},
		{"a/b=s3://one", "cannot be the name"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		restart(f);
		assert_int_equal(config_add_argument(&f->c, cases[i].arg, f->err, sizeof(f->err)), -1);
		assert_says(f->err, cases[i].says);
		assert_null(strstr(f->err, "HIDDEN"));
	}
	restart(f);
	assert_int_equal(config_add_argument(&f->c, "a=s3://one", f->err, sizeof(f->err)), 0);
	assert_int_equal(config_add_argument(&f->c, "a=s3://two", f->err, sizeof(f->err)), -1);
	assert_says(f->err, "the name \"a\" is given twice");
}

/* --------------------------------------------------------------------------------------------------- options */

static void options_are_applied(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		config_add_options(&f->c,
				   "rw,dev,nosuid,relatime,_netdev,nofail,x-systemd.automount,defaults,,ro,allow_other,"
				   "umask=027,fsname=a\\,b,writeback=all,noexec,user=joe",
				   f->err, sizeof(f->err)),
		0);
	assert_true(f->c.readonly);
	assert_true(f->c.allow_other);
	assert_true(f->c.noexec);
	assert_int_equal(f->c.file_mode, 0640);
	assert_int_equal(f->c.dir_mode, 0750);
	assert_string_equal(f->c.fsname, "a,b");
	assert_int_equal(f->c.writeback, WRITEBACK_ALL);
	assert_int_equal(config_add_options(&f->c, "rw,dmask=077,fmask=0", f->err, sizeof(f->err)), 0);
	assert_false(f->c.readonly);
	assert_int_equal(f->c.file_mode, 0666);
	assert_int_equal(f->c.dir_mode, 0700);
}

static void option_errors_are_sentences(void **state)
{
	static const struct {
		const char *opts, *says;
	} cases[] = {
		{"alow_other", "unknown mount option \"alow_other\" (did you mean \"allow_other\"?)"},
		{"ro,quux=3", "unknown mount option \"quux\""},
		{"umask", "mount option umask needs a value: expected an octal mode"},
		{"writeback=copies", "writeback is \"copies\": expected none or all"},
		{"uid=", "uid is \"\""},
		{"secret_access_key=x", "unknown mount option \"secret_access_key\""},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		restart(f);
		assert_int_equal(config_add_options(&f->c, cases[i].opts, f->err, sizeof(f->err)), -1);
		assert_says(f->err, cases[i].says);
	}
}

static void sizes_are_read(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t bytes;
	} cases[] = {
		{"0", true, 0},           {"4096", true, 4096},
		{"4096B", true, 4096},    {"1K", true, 1024},
		{"1kB", true, 1000},      {"2M", true, 2u << 20},
		{"2MiB", true, 2u << 20}, {"2 MiB", true, 2u << 20},
		{"2MB", true, 2000000},   {"3g", true, 3ull << 30},
		{"1T", true, 1ull << 40}, {"16777215T", true, 16777215ull << 40},
		{"16777216T", false, 0},  {"", false, 0},
		{"M", false, 0},          {"-1M", false, 0},
		{"1.5M", false, 0},       {"1Mx", false, 0},
		{"1X", false, 0},         {"99999999999999999999", false, 0},
	};
	uint64_t bytes;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		if (config_parse_size(cases[i].text, &bytes) != cases[i].ok)
			fail_msg("\"%s\"", cases[i].text);
		if (cases[i].ok)
			assert_int_equal(bytes, cases[i].bytes);
	}
}

/* ---------------------------------------------------------------------------------------------------- finish */

static void finish_fills_what_was_found(void **state)
{
	struct fixture *f = *state;
	const struct config_bucket *b;

	found = (struct s3_credentials){.access_key_id = (char *)"AK",
					.secret_access_key = (char *)"SK",
					.region = (char *)"r1",
					.endpoint = (char *)"http://e"};
	assert_int_equal(config_add_argument(&f->c, "a=s3://one", f->err, sizeof(f->err)), 0);
	assert_int_equal(config_add_argument(&f->c, "b=s3://two?endpoint=http://own&region=r2", f->err, sizeof(f->err)),
			 0);
	assert_int_equal(config_set_mountpoint(&f->c, f->dir, f->err, sizeof(f->err)), 0);
	assert_int_equal(config_finish(&f->c, f->err, sizeof(f->err)), 0);
	b = f->c.buckets;
	assert_string_equal(b[0].access_key_id, "AK");
	assert_string_equal(b[0].secret_access_key, "SK");
	assert_string_equal(b[0].endpoint, "http://e");
	assert_string_equal(b[0].region, "r1");
	assert_string_equal(b[1].access_key_id, "AK");
	assert_string_equal(b[1].endpoint, "http://own");
	assert_string_equal(b[1].region, "r2");
	assert_true(f->c.memory_limit_bytes >= SCHED_MEMORY_MIN_BYTES);
	assert_string_equal(f->c.fsname, "s3bridge");
	config_wipe_secrets(&f->c);
	assert_null(b[0].secret_access_key);
}

static void own_keys_are_never_mixed_with_found_ones(void **state)
{
	struct fixture *f = *state;

	found = (struct s3_credentials){.access_key_id = (char *)"AK", .secret_access_key = (char *)"SK"};
	assert_int_equal(read_text(f, "[a]\nbucket = b\naccess_key_id = MINE\nsecret_access_key = MY\n"), 0);
	assert_int_equal(config_set_mountpoint(&f->c, f->dir, f->err, sizeof(f->err)), 0);
	assert_int_equal(config_finish(&f->c, f->err, sizeof(f->err)), 0);
	assert_string_equal(f->c.buckets[0].access_key_id, "MINE");
	assert_string_equal(f->c.buckets[0].secret_access_key, "MY");
	assert_null(f->c.buckets[0].session_token);
}

static void finish_errors_are_sentences(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"[s3bridge]\n", "no bucket given"},
		{"[a]\nbucket = b\naccess_key_id = K\n", "a has an access_key_id but no secret_access_key"},
		{"[a]\nbucket = b\nsecret_access_key = K\n", "a has a secret_access_key but no access_key_id"},
		{"[a]\nbucket = b\naccess_key_id = K\nsecret_access_key = S\nprofile = p\n",
		 "both a profile and an access_key_id"},
		{"[a]\nbucket = b\nca_file = /nonexistent.pem\n", "cannot read ca_file /nonexistent.pem: No such file"},
		{"[a]\nbucket = b\n[s3bridge]\nallow_other = 1\nallow_root = 1\n", "exclude each other"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		restart(f);
		assert_int_equal(read_text(f, cases[i].text), 0);
		assert_int_equal(config_set_mountpoint(&f->c, f->dir, f->err, sizeof(f->err)), 0);
		assert_int_equal(config_finish(&f->c, f->err, sizeof(f->err)), -1);
		assert_says(f->err, cases[i].says);
	}
	restart(f);
	load_error = "the profile \"x\" does not exist";
	assert_int_equal(config_add_argument(&f->c, "a=s3://one?profile=x", f->err, sizeof(f->err)), 0);
	assert_int_equal(config_set_mountpoint(&f->c, f->dir, f->err, sizeof(f->err)), 0);
	assert_int_equal(config_finish(&f->c, f->err, sizeof(f->err)), -1);
	assert_string_equal(f->err, "a: the profile \"x\" does not exist");
}

static void bad_mount_points_are_refused(void **state)
{
	struct fixture *f = *state;
	char missing[64];

	snprintf(missing, sizeof(missing), "%s/none", f->dir);
	write_file(f->file, "", 0600);
	assert_int_equal(config_add_argument(&f->c, "a=s3://one", f->err, sizeof(f->err)), 0);
	assert_int_equal(config_finish(&f->c, f->err, sizeof(f->err)), -1);
	assert_says(f->err, "no mount point given");
	assert_int_equal(config_set_mountpoint(&f->c, "", f->err, sizeof(f->err)), -1);
	assert_int_equal(config_set_mountpoint(&f->c, missing, f->err, sizeof(f->err)), 0);
	assert_int_equal(config_finish(&f->c, f->err, sizeof(f->err)), -1);
	assert_says(f->err, "none does not exist: create the directory first");
	assert_int_equal(config_set_mountpoint(&f->c, f->file, f->err, sizeof(f->err)), 0);
	assert_int_equal(config_finish(&f->c, f->err, sizeof(f->err)), -1);
	assert_says(f->err, "is not a directory");
}

/* ---------------------------------------------------------------------------------------------- memory limit */

static void memory_limit_is_the_least_of_all(void **state)
{
	const uint64_t mib = 1 << 20;
	const struct {
		uint64_t ram, cgroup, expected;
	} cases[] = {
		{64 * 1024 * mib, MEMORY_LIMIT_NONE, 96 * mib},
		{MEMORY_LIMIT_NONE, MEMORY_LIMIT_NONE, 96 * mib},
		{320 * mib, MEMORY_LIMIT_NONE, 40 * mib},
		{64 * 1024 * mib, 200 * mib, 50 * mib},
		{64 * 1024 * mib, 64 * mib, SCHED_MEMORY_MIN_BYTES},
		{128 * mib, MEMORY_LIMIT_NONE, SCHED_MEMORY_MIN_BYTES},
		{64 * 1024 * mib, 0, SCHED_MEMORY_MIN_BYTES},
	};

	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_int_equal(memory_limit_default(cases[i].ram, cases[i].cgroup), cases[i].expected);
	assert_true(memory_limit_ram_bytes() > mib);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (char *slash = path + strlen(dir) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	write_file(path, text, 0600);
}

static void cgroup_limits_of_parents_count(void **state)
{
	struct fixture *f = *state;
	char command[128];

	assert_int_equal(memory_limit_cgroup_bytes(f->dir), MEMORY_LIMIT_NONE);
	put(f->dir, "proc/self/cgroup", "1:cpu:/other\n0::/a/b\n");
	assert_int_equal(memory_limit_cgroup_bytes(f->dir), MEMORY_LIMIT_NONE);
	put(f->dir, "sys/fs/cgroup/a/b/memory.max", "max\n");
	assert_int_equal(memory_limit_cgroup_bytes(f->dir), MEMORY_LIMIT_NONE);
	put(f->dir, "sys/fs/cgroup/a/memory.max", "1000000\n");
	assert_int_equal(memory_limit_cgroup_bytes(f->dir), 1000000);
	put(f->dir, "sys/fs/cgroup/a/b/memory.max", "2000000\n");
	assert_int_equal(memory_limit_cgroup_bytes(f->dir), 1000000);
	put(f->dir, "sys/fs/cgroup/memory.max", "500\n");
	assert_int_equal(memory_limit_cgroup_bytes(f->dir), 500);
	put(f->dir, "sys/fs/cgroup/other/memory.max", "1\n");
	assert_int_equal(memory_limit_cgroup_bytes(f->dir), 500);
	snprintf(command, sizeof(command), "rm -r %s/proc %s/sys", f->dir, f->dir);
	assert_int_equal(system(command), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(file_sets_every_key),
		TEST(file_errors_name_the_line),
		TEST(file_with_a_secret_that_others_can_read_is_refused),
		TEST(long_names_and_values_are_kept_whole),
		TEST(file_that_is_no_text_is_refused),
		TEST(argument_is_taken_apart),
		TEST(argument_errors_are_sentences),
		TEST(options_are_applied),
		TEST(option_errors_are_sentences),
		TEST(sizes_are_read),
		TEST(finish_fills_what_was_found),
		TEST(own_keys_are_never_mixed_with_found_ones),
		TEST(finish_errors_are_sentences),
		TEST(bad_mount_points_are_refused),
		TEST(memory_limit_is_the_least_of_all),
		TEST(cgroup_limits_of_parents_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
