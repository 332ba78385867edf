/*
 * register_resource.c - io_uring_register() of files and buffers, with and without tags
 *
 * Argument checks and their order are the kernel's. A fixed buffer is a
 * range of the program's memory; unlike the kernel, we cannot pin it: if the
 * program unmaps it, transfers fail with -EFAULT.
 *
 * The kernel: io_uring/rsrc.c
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "host/kernel.h"
#include "host/usercopy.h"
#include "request/reactor.h"
#include "syscall/internal.h"

#define FIXED_FILES_MAX (1u << 20)
#define BUFFER_SIZE_MAX (1ull << 30)
#define NO_FILE         (-1)

static int tag_from_user(u64 *tag, u64 user_tags, u32 index)
{
	*tag = 0;
	if (user_tags == 0)
		return 0;
	return copy_from_user(tag, user_element(user_tags, index, sizeof(*tag)), sizeof(*tag));
}

/* A resource for descriptor fd. 0 or -errno. */
static int file_resource(struct ring *ring, s32 fd, u64 tag, struct resource **resource)
{
	/* A ring in a ring's own table could never be closed. */
	if (descriptor_ring(fd) != NULL || fd_is_private(fd))
		return -EBADF;
	if (host_call(SYS_fcntl, fd, F_GETFD) < 0)
		return -EBADF;
	*resource = resource_create(ring, tag);
	if (*resource == NULL)
		return -ENOMEM;
	(*resource)->file = file_hold(fd);
	if ((*resource)->file == NULL) {
		(*resource)->tag = 0;
		resource_put(ring, *resource);
		return -ENOMEM;
	}
	return 0;
}

/* A failed registration leaves nothing behind, and posts no tags. */
static void table_abandon(struct ring *ring, struct resource_table *table)
{
	for (u32 i = 0; i < table->count; i++)
		if (table->slots[i])
			table->slots[i]->tag = 0;
	resource_table_destroy(ring, table);
}

static int register_file(struct ring *ring, u32 index, u64 user_fds, u64 user_tags)
{
	struct resource *resource;
	s32 fd = NO_FILE;
	u64 tag;
	int err;

	if (tag_from_user(&tag, user_tags, index))
		return -EFAULT;
	if (user_fds && copy_from_user(&fd, user_element(user_fds, index, sizeof(fd)), sizeof(fd)))
		return -EFAULT;
	if (fd == NO_FILE)
		return tag ? -EINVAL : 0;
	err = file_resource(ring, fd, tag, &resource);
	if (!err)
		resource_set(ring, &ring->files, index, resource);
	return err;
}

long register_files(struct ring *ring, u64 user_fds, u32 count, u64 user_tags)
{
	struct rlimit limit;
	int err;

	if (ring->files.count)
		return -EBUSY;
	if (count == 0)
		return -EINVAL;
	if (count > FIXED_FILES_MAX)
		return -EMFILE;
	if (host_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) == 0 && count > limit.rlim_cur)
		return -EMFILE;
	err = resource_table_create(&ring->files, count);
	for (u32 i = 0; i < count && !err; i++)
		err = register_file(ring, i, user_fds, user_tags);
	if (err) {
		table_abandon(ring, &ring->files);
		return err;
	}
	resource_alloc_range(&ring->files, 0, count);
	reactor_keep_watch(ring);
	return 0;
}

long register_file_alloc_range(struct ring *ring, const void *user_range)
{
	struct io_uring_file_index_range range;

	if (copy_from_user(&range, user_range, sizeof(range)))
		return -EFAULT;
	if (range.off + range.len < range.off)
		return -EOVERFLOW;
	if (range.resv || range.off + range.len > ring->files.count)
		return -EINVAL;
	resource_alloc_range(&ring->files, range.off, range.len);
	return 0;
}

static int check_buffer(const struct iovec *iov, u64 tag)
{
	u64 start = (u64)iov->iov_base;

	if ((s64)iov->iov_len < 0)
		return -EINVAL;
	if (start == 0) {
		if (iov->iov_len)
			return -EFAULT;
		return tag ? -EINVAL : 0;
	}
	if (iov->iov_len == 0 || iov->iov_len > BUFFER_SIZE_MAX)
		return -EFAULT;
	if (start + iov->iov_len + 4095 < start)
		return -EOVERFLOW;
	return user_range_check(iov->iov_base, iov->iov_len, 1);
}

/* A resource for a buffer; NULL in *resource for an empty slot. 0 or -errno. */
static int buffer_resource(struct ring *ring, const struct iovec *iov, u64 tag,
			   struct resource **resource)
{
	int err = check_buffer(iov, tag);

	*resource = NULL;
	if (err || iov->iov_base == NULL)
		return err;
	*resource = resource_create(ring, tag);
	if (*resource == NULL)
		return -ENOMEM;
	(*resource)->addr = (u64)iov->iov_base;
	(*resource)->len = iov->iov_len;
	return 0;
}

static int buffer_from_user(struct iovec *iov, u64 *tag, u32 index, u64 user_vector, u64 user_tags)
{
	*iov = (struct iovec){0};
	if (user_vector &&
	    copy_from_user(iov, user_element(user_vector, index, sizeof(*iov)), sizeof(*iov)))
		return -EFAULT;
	return tag_from_user(tag, user_tags, index);
}

/* Before anything of ours is mapped, which could fill a gap in what the program calls a buffer. */
static int check_buffers(u32 count, u64 user_vector, u64 user_tags)
{
	int err = 0;

	for (u32 i = 0; i < count && !err; i++) {
		struct iovec iov;
		u64 tag;

		err = buffer_from_user(&iov, &tag, i, user_vector, user_tags);
		if (!err)
			err = check_buffer(&iov, tag);
	}
	return err;
}

static int register_buffer(struct ring *ring, u32 index, u64 user_vector, u64 user_tags)
{
	struct iovec iov;
	struct resource *resource;
	u64 tag;
	int err = buffer_from_user(&iov, &tag, index, user_vector, user_tags);

	if (err)
		return err;
	err = buffer_resource(ring, &iov, tag, &resource);
	if (!err && resource)
		resource_set(ring, &ring->buffers, index, resource);
	return err;
}

long register_buffers(struct ring *ring, u64 user_vector, u32 count, u64 user_tags)
{
	int err;

	if (ring->buffers.count)
		return -EBUSY;
	if (count == 0 || count > FIXED_BUFFERS_MAX)
		return -EINVAL;
	err = check_buffers(count, user_vector, user_tags);
	if (err)
		return err;
	err = resource_table_create(&ring->buffers, count);
	for (u32 i = 0; i < count && !err; i++)
		err = register_buffer(ring, i, user_vector, user_tags);
	if (err)
		table_abandon(ring, &ring->buffers);
	return err;
}

long register_rsrc(struct ring *ring, const void *user_arg, u32 size, bool is_files)
{
	struct io_uring_rsrc_register rsrc;

	if (size != sizeof(rsrc))
		return -EINVAL;
	if (copy_from_user(&rsrc, user_arg, sizeof(rsrc)))
		return -EFAULT;
	if (rsrc.nr == 0 || rsrc.resv2 || rsrc.flags & ~IORING_RSRC_REGISTER_SPARSE)
		return -EINVAL;
	if (rsrc.flags & IORING_RSRC_REGISTER_SPARSE && rsrc.data)
		return -EINVAL;
	return is_files ? register_files(ring, rsrc.data, rsrc.nr, rsrc.tags)
			: register_buffers(ring, rsrc.data, rsrc.nr, rsrc.tags);
}

/* One slot. 0 or -errno. */
static int update_file(struct ring *ring, u32 slot, s32 fd, u64 tag)
{
	struct resource *resource;
	int err;

	if ((fd == NO_FILE || fd == (s32)IORING_REGISTER_FILES_SKIP) && tag)
		return -EINVAL;
	if (fd == (s32)IORING_REGISTER_FILES_SKIP)
		return 0;
	resource_set(ring, &ring->files, slot, NULL);
	if (fd == NO_FILE)
		return 0;
	err = file_resource(ring, fd, tag, &resource);
	if (!err)
		resource_set(ring, &ring->files, slot, resource);
	return err;
}

static long update_files(struct ring *ring, const struct io_uring_rsrc_update2 *update)
{
	u32 done;
	int err = 0;

	if (ring->files.count == 0)
		return -ENXIO;
	if ((u64)update->offset + update->nr > ring->files.count)
		return -EINVAL;
	for (done = 0; done < update->nr && !err; done++) {
		u64 tag;
		s32 fd;

		if (tag_from_user(&tag, update->tags, done) ||
		    copy_from_user(&fd, user_element(update->data, done, sizeof(fd)), sizeof(fd)))
			err = -EFAULT;
		else
			err = update_file(ring, update->offset + done, fd, tag);
		if (err)
			break;
	}
	return done ? (long)done : err;
}

static long update_buffers(struct ring *ring, const struct io_uring_rsrc_update2 *update)
{
	u32 done;
	int err = 0;

	if (ring->buffers.count == 0)
		return -ENXIO;
	if ((u64)update->offset + update->nr > ring->buffers.count)
		return -EINVAL;
	for (done = 0; done < update->nr; done++) {
		struct resource *resource = NULL;
		struct iovec iov;
		u64 tag;

		if (copy_from_user(&iov, user_element(update->data, done, sizeof(iov)),
				   sizeof(iov)) ||
		    tag_from_user(&tag, update->tags, done))
			err = -EFAULT;
		else
			err = buffer_resource(ring, &iov, tag, &resource);
		if (err)
			break;
		resource_set(ring, &ring->buffers, update->offset + done, resource);
	}
	return done ? (long)done : err;
}

static long update(struct ring *ring, const struct io_uring_rsrc_update2 *update, bool is_files)
{
	if (update->offset + update->nr < update->offset)
		return -EOVERFLOW;
	return is_files ? update_files(ring, update) : update_buffers(ring, update);
}

long register_files_update(struct ring *ring, const void *user_arg, u32 count)
{
	struct io_uring_rsrc_update old;

	if (count == 0)
		return -EINVAL;
	if (copy_from_user(&old, user_arg, sizeof(old)))
		return -EFAULT;
	if (old.resv)
		return -EINVAL;
	return update(ring,
		      &(struct io_uring_rsrc_update2){
			      .offset = old.offset, .data = old.data, .nr = count},
		      true);
}

long register_rsrc_update(struct ring *ring, const void *user_arg, u32 size, bool is_files)
{
	struct io_uring_rsrc_update2 args;

	if (size != sizeof(args))
		return -EINVAL;
	if (copy_from_user(&args, user_arg, sizeof(args)))
		return -EFAULT;
	if (args.nr == 0 || args.resv || args.resv2)
		return -EINVAL;
	return update(ring, &args, is_files);
}

/* Descriptor after descriptor into slots that are found for them; their indices replace them in
 * the program's array. */
static long install_files(struct ring *ring, s32 *user_fds, u32 count)
{
	u32 done;
	int err = 0;

	if (ring->files.count == 0)
		return -ENXIO;
	for (done = 0; done < count; done++) {
		struct resource *resource;
		s32 fd, index;

		if (copy_from_user(&fd, user_element((u64)user_fds, done, sizeof(fd)),
				   sizeof(fd))) {
			err = -EFAULT;
			break;
		}
		err = file_resource(ring, fd, 0, &resource);
		if (err)
			break;
		index = resource_find_slot(&ring->files);
		if (index < 0) {
			resource_put(ring, resource);
			err = index;
			break;
		}
		resource_set(ring, &ring->files, (u32)index, resource);
		if (copy_to_user(user_element((u64)user_fds, done, sizeof(index)), &index,
				 sizeof(index))) {
			resource_set(ring, &ring->files, (u32)index, NULL);
			err = -EFAULT;
			break;
		}
	}
	return done ? (long)done : err;
}

long register_files_by_request(struct ring *ring, u32 offset, u64 user_fds, u32 count)
{
	if (offset == IORING_FILE_INDEX_ALLOC)
		return install_files(ring, (s32 *)user_fds, count);
	return update(
		ring,
		&(struct io_uring_rsrc_update2){.offset = offset, .data = user_fds, .nr = count},
		true);
}
