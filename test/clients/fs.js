// fs.js - work on files by Node.js, for node.sh
//
// usage: node fs.js DIRECTORY [links]
//
// Prints what it saw, the same in every run: sizes, digests, errors. Its last
// line on stderr says whether the process holds a ring of the kernel.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const root = process.argv[2];
const lines = [];

function say(...words) {
	lines.push(words.join(' '));
}

function digest(data) {
	return crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);
}

// The same bytes in every run, other bytes in every file.
function contents(seed, length) {
	const data = Buffer.alloc(length);
	let state = seed + 1;

	for (let i = 0; i < length; i++) {
		state = (Math.imul(state, 1103515245) + 12345) >>> 0;
		data[i] = state >>> 24;
	}
	return data;
}

async function errorOf(promise) {
	try {
		await promise;
		return 'none';
	} catch (error) {
		return error.code;
	}
}

async function wholeFiles() {
	const sizes = [0, 1, 511, 4096, 5000, 65536, 100001, 1048577];
	const work = [];

	for (let i = 0; i < 64; i++) {
		work.push((async () => {
			const file = path.join(root, `file-${i}`);
			const data = contents(i, sizes[i % sizes.length]);

			await fs.promises.writeFile(file, data);
			const stat = await fs.promises.stat(file);
			const read = await fs.promises.readFile(file);
			return [i, stat.size, stat.isFile(), digest(read), read.equals(data)].join(' ');
		})());
	}
	for (const line of await Promise.all(work))
		say('file', line);
}

async function oneDescriptor() {
	const file = path.join(root, 'positions');
	const handle = await fs.promises.open(file, 'w+');
	const data = contents(1000, 200000);
	const writes = [];
	const reads = [];

	for (let at = 0; at < data.length; at += 1000)
		writes.push(handle.write(data, at, 1000, at));
	say('written', (await Promise.all(writes)).reduce((sum, one) => sum + one.bytesWritten, 0));
	for (let at = 199000; at >= 0; at -= 7000)
		reads.push(handle.read(Buffer.alloc(7000), 0, 7000, at));
	for (const { bytesRead, buffer } of await Promise.all(reads))
		say('read', bytesRead, digest(buffer.subarray(0, bytesRead)));

	const vectors = [Buffer.from('first'), Buffer.from(''), Buffer.from('second')];
	say('writev', (await handle.writev(vectors, 500)).bytesWritten);
	const into = [Buffer.alloc(5), Buffer.alloc(6)];
	say('readv', (await handle.readv(into, 500)).bytesRead, into.join('|'));
	await handle.datasync();
	await handle.sync();
	await handle.truncate(1234);
	say('size', (await handle.stat()).size);
	say('past the end', (await handle.read(Buffer.alloc(10), 0, 10, 5000)).bytesRead);
	await handle.close();
	say('appended', await errorOf(fs.promises.appendFile(file, 'tail')));
	say('all', digest(await fs.promises.readFile(file)));
}

async function names() {
	const dir = path.join(root, 'dir');
	const file = path.join(dir, 'one');

	await fs.promises.mkdir(dir);
	say('mkdir again', await errorOf(fs.promises.mkdir(dir)));
	await fs.promises.writeFile(file, 'x');
	await fs.promises.rename(file, file + '-renamed');
	say('stat of what moved', await errorOf(fs.promises.stat(file)));
	say('names', (await fs.promises.readdir(dir)).join(','));
	say('lstat', (await fs.promises.lstat(file + '-renamed')).size);
	say('open a directory to write', await errorOf(fs.promises.open(dir, 'w')));
	say('read what is not there', await errorOf(fs.promises.readFile(path.join(dir, 'two'))));
	await fs.promises.unlink(file + '-renamed');
	say('unlink again', await errorOf(fs.promises.unlink(file + '-renamed')));
	await fs.promises.rmdir(dir);
}

async function links() {
	const file = path.join(root, 'target');

	await fs.promises.writeFile(file, 'seen through a link');
	await fs.promises.symlink('target', path.join(root, 'symbolic'));
	await fs.promises.link(file, path.join(root, 'hard'));
	say('symbolic', await fs.promises.readFile(path.join(root, 'symbolic'), 'utf8'));
	say('hard', (await fs.promises.stat(path.join(root, 'hard'))).nlink);
	say('symlink again', await errorOf(fs.promises.symlink('x', path.join(root, 'symbolic'))));
}

async function streams() {
	const file = path.join(root, 'stream');
	const data = contents(2000, 700000);
	const hash = crypto.createHash('sha256');

	await new Promise((resolve, reject) => {
		const out = fs.createWriteStream(file);

		out.on('error', reject).on('finish', resolve);
		for (let at = 0; at < data.length; at += 30000)
			out.write(data.subarray(at, at + 30000));
		out.end();
	});
	for await (const chunk of fs.createReadStream(file))
		hash.update(chunk);
	say('stream', hash.digest('hex').slice(0, 16) === digest(data));
}

// Child processes share the event loop with the files: their pipes are polled.
async function children() {
	const { execFile } = require('child_process');
	const file = path.join(root, 'file-5');
	const work = [];

	for (let i = 0; i < 4; i++) {
		work.push(new Promise((resolve) => {
			execFile('wc', ['-c', file], (error, out) => resolve(error || out.split(' ')[0]));
		}), fs.promises.readFile(file).then((data) => data.length));
	}
	say('children', (await Promise.all(work)).join(' '));
}

function holdsKernelRing() {
	return fs.readdirSync('/proc/self/fd').some((fd) => {
		try {
			return fs.readlinkSync(`/proc/self/fd/${fd}`).includes('[io_uring]');
		} catch {
			return false; // the descriptor of the directory itself
		}
	});
}

async function main() {
	if (process.argv[3] === 'links') {
		await links();
	} else {
		await wholeFiles();
		await oneDescriptor();
		await names();
		await streams();
		await children();
	}
	console.log(lines.join('\n'));
	console.error(holdsKernelRing() ? 'ring: the kernel\'s' : 'ring: none of the kernel\'s');
}

main().catch((error) => {
	console.error(error);
	process.exit(1);
});
