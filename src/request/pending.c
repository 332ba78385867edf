/*
 * pending.c - the requests of a ring that wait (see pending.h)
 *
 * Invariants:  P1 count is the number of requests with REQ_PENDING
 *              P2 count <= 2 * bucket_count, but for want of memory: then chains grow
 * The kernel:  ctx->cancel_table, which is of a fixed size
 */
#include "request/pending.h"

#include "base/pages.h"
#include "request/ring.h"

#define FIRST_BUCKETS 256 /* one page of list heads */
#define MAX_BUCKETS   (1u << 20)

static struct list_node *bucket_of(struct list_node *buckets, u32 count, u64 user_data)
{
	/* Fibonacci hashing: user_data are often pointers or small numbers. */
	return &buckets[(user_data * 0x9e3779b97f4a7c15ull) >> 40 & (count - 1)];
}

static void table_grow(struct pending_table *table)
{
	u32 count = table->bucket_count ? table->bucket_count * 2 : FIRST_BUCKETS;
	struct list_node *buckets;

	if (count > MAX_BUCKETS)
		return;
	buckets = pages_alloc(count * sizeof(*buckets));
	if (buckets == NULL)
		return;
	for (u32 i = 0; i < count; i++)
		list_init(&buckets[i]);
	for (u32 i = 0; i < table->bucket_count; i++) {
		while (!list_is_empty(&table->buckets[i])) {
			struct request *req =
				list_first(&table->buckets[i], struct request, pending);

			list_del(&req->pending);
			list_add_tail(bucket_of(buckets, count, req->user_data), &req->pending);
		}
	}
	pages_free(table->buckets, table->bucket_count * sizeof(*buckets));
	table->buckets = buckets;
	table->bucket_count = count;
}

/* Where requests go when there is no memory for a first table. */
static struct list_node *fallback_bucket(struct pending_table *table)
{
	if (!table->fallback.next)
		list_init(&table->fallback);
	return &table->fallback;
}

void pending_add(struct request *req)
{
	struct pending_table *table = &req->ring->pending;

	if (req->flags & REQ_PENDING)
		return;
	if (table->count >= 2 * table->bucket_count)
		table_grow(table);
	req->flags |= REQ_PENDING;
	table->count++;
	if (table->bucket_count)
		list_add_tail(bucket_of(table->buckets, table->bucket_count, req->user_data),
			      &req->pending);
	else
		list_add_tail(fallback_bucket(table), &req->pending);
}

void pending_remove(struct request *req)
{
	req->flags &= ~REQ_PENDING;
	list_del(&req->pending);
	req->ring->pending.count--;
}

void pending_destroy(struct ring *ring)
{
	struct pending_table *table = &ring->pending;

	rs_assert(table->count == 0);
	pages_free(table->buckets, table->bucket_count * sizeof(*table->buckets));
	*table = (struct pending_table){0};
}

static bool bucket_visit(struct list_node *bucket, const u64 *user_data,
			 bool (*visit)(struct request *req, void *arg), void *arg)
{
	struct request *req, *tmp;

	list_for_each_entry_safe (req, tmp, bucket, pending) {
		if (user_data != NULL && req->user_data != *user_data)
			continue;
		if (!visit(req, arg))
			return false;
	}
	return true;
}

void pending_for_each(struct ring *ring, const u64 *user_data,
		      bool (*visit)(struct request *req, void *arg), void *arg)
{
	struct pending_table *table = &ring->pending;

	if (table->count == 0)
		return;
	if (!bucket_visit(fallback_bucket(table), user_data, visit, arg))
		return;
	if (user_data != NULL) {
		if (table->bucket_count)
			bucket_visit(bucket_of(table->buckets, table->bucket_count, *user_data),
				     user_data, visit, arg);
		return;
	}
	for (u32 i = 0; i < table->bucket_count; i++)
		if (!bucket_visit(&table->buckets[i], NULL, visit, arg))
			return;
}
