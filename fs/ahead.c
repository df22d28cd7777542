/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking ahead. Programs walk trees: whoever asked for the attributes of one name in a directory asks for those of the next ones,
 * and whoever read two directories in a row reads the next. Each question alone costs a round trip; many at once cost the same. */
#include "fs/internal.h"

#define HEADS_FIRST 32      /* a directory in which somebody asks for the first time */
#define HEADS_MAX 512
#define DIRECTORIES_AHEAD 4

static void heads_ahead(struct fs *fs, struct node *first, unsigned count)
{
	struct node *n = first;

	for (unsigned i = 0; n && i < count; i++, n = n->hh_child.next)
		if (!n->meta_known && !n->head_running && !node_is_ours_locked(n))
			(void)head_start_locked(fs, n);
}

void ahead_of_attributes_locked(struct fs *fs, struct node *n)
{
	struct directory *d = n->parent ? n->parent->dir : NULL;

	if (!d || d->listing != LISTING_COMPLETE)
		return;
	d->asked = true;
	d->head_window = d->head_window ? 2 * d->head_window : HEADS_FIRST;
	if (d->head_window > HEADS_MAX)
		d->head_window = HEADS_MAX;
	heads_ahead(fs, n->hh_child.next, d->head_window);
}

/* Was the directory before DIR read, too, or the one DIR is in? */
static bool is_walk(const struct node *dir)
{
	const struct node *before = dir->hh_child.prev;

	while (before && !before->dir)
		before = before->hh_child.prev;
	return before ? before->dir->walked : dir->parent->dir->walked;
}

static bool walk_asks(const struct node *dir)
{
	const struct node *before = dir->hh_child.prev;

	while (before && !before->dir)
		before = before->hh_child.prev;
	return (before && before->dir->asked) || dir->parent->dir->asked;
}

void ahead_of_listing_locked(struct fs *fs, struct node *dir)
{
	struct directory *d = dir->dir;

	if (d->listing != LISTING_COMPLETE || !dir->parent || !(d->walked || d->expected) || !walk_asks(dir))
		return;
	d->head_window = HEADS_MAX;
	heads_ahead(fs, d->children, HEADS_MAX);
}

void ahead_of_walk_locked(struct fs *fs, struct node *dir)
{
	unsigned left = DIRECTORIES_AHEAD;

	if (dir->dir->walked || !dir->parent)
		return;
	dir->dir->walked = true;
	if (!is_walk(dir))
		return;
	for (struct node *n = dir->hh_child.next; n && left; n = n->hh_child.next) {
		if (!n->dir)
			continue;
		left--;
		if (n->dir->listing != LISTING_NONE || node_is_ours_locked(n))
			continue;
		n->dir->expected = true;
		(void)listing_start_locked(fs, n, false);
	}
}
