"""The users' loops, transcribed from the kernel step by step: slow and obvious, sharing nothing with the model.

Sources: Linux 7.3.4 and 6.12, the files named at each. A bio is [bytes, vectors, max_vecs].
"""

PAGE_SIZE = 4096
BIO_MAX_VECS = 256
UINT_MAX = 2**32 - 1


class Bio:
    """bio_alloc() and bio_add_folio() of one zero page at offset 0 (block/bio.c)."""

    def __init__(self, nr_vecs, old=False):
        self.size = 0
        self.vcnt = 0
        self.max_vecs = nr_vecs
        if old and 0 < nr_vecs <= 4:
            self.max_vecs = 4  # bio_init(..., bio->bi_inline_vecs, BIO_INLINE_VECS, ...) of 6.12 to 6.18
        if nr_vecs > 4:  # BIO_INLINE_VECS
            for slab in (16, 64, 128, 256):
                if nr_vecs <= slab:
                    self.max_vecs = slab
                    break

    def add(self, length):
        if self.size + length > UINT_MAX or self.vcnt >= self.max_vecs:
            return False
        self.vcnt += 1
        self.size += length
        return True

    def row(self):
        return (self.size, self.vcnt, self.max_vecs)


def zero_pages(length, folio, finished=False, old=False):
    """__blkdev_issue_zero_pages (block/blk-lib.c)."""
    bios = []
    left = length
    while left:
        unit = folio if finished else PAGE_SIZE
        nr_vecs = 0
        while nr_vecs < BIO_MAX_VECS and nr_vecs * unit < left:
            nr_vecs += 1
        bio = Bio(nr_vecs, old)
        while left:
            size = min(folio, left)
            if not bio.add(size):
                break
            left -= size
        bios.append(bio.row())
    return bios


def iomap_dio_write(block, pos, length, folio, own_page):
    """iomap_dio_bio_iter and iomap_dio_zero (fs/iomap/direct-io.c); own_page: as in 6.12."""

    def dio_zero(size):
        if not size:
            return
        if own_page:
            assert size <= 65536
            bio = Bio(1, old=True)
            bio.add(size)
        else:
            bio = Bio(max(1, block // folio))
            while size > 0:
                io_len = min(size, folio)
                assert bio.add(io_len)
                size -= io_len
        bios.append(bio.row())

    bios = []
    pad = pos & (block - 1)
    dio_zero(pad)
    pos += length
    pad = pos & (block - 1)
    if pad:
        dio_zero(block - pad)
    return bios


def fscrypt_7_3(length, data_unit, first_dun, dun_bits):
    """fscrypt_zeroout_range (fs/crypto/block.c)."""
    bios = []
    pos = 0

    def dun_at(at):
        return (first_dun + at // data_unit) % 2**dun_bits

    left = length
    while left:
        bio = Bio(BIO_MAX_VECS)
        context = dun_at(pos)
        for _ in range(BIO_MAX_VECS):
            size = min(left, PAGE_SIZE)
            assert bio.add(size)
            left -= size
            pos += size
            if not left or context + bio.size // data_unit != dun_at(pos):
                break
        bios.append(bio.row())
    return bios


def fscrypt_6_12_inline(blocks, blockbits, data_unit, first_dun, dun_bits):
    """fscrypt_zeroout_range_inline_crypt (fs/crypto/bio.c): the bio is used again after each wait."""
    bios, waits = [], 0
    blocks_per_page = PAGE_SIZE >> blockbits
    lblk = 0

    def dun_at(block):
        return (first_dun + (block << blockbits) // data_unit) % 2**dun_bits

    bio, num_pages, context = Bio(BIO_MAX_VECS), 0, 0
    while blocks:
        this_page = min(blocks, blocks_per_page)
        if num_pages == 0:
            context = dun_at(lblk)
        assert bio.add(this_page << blockbits)
        num_pages += 1
        blocks -= this_page
        lblk += this_page
        if num_pages == BIO_MAX_VECS or not blocks or context + bio.size // data_unit != dun_at(lblk):
            bios.append(bio.row())
            waits += 1
            bio, num_pages = Bio(BIO_MAX_VECS), 0
    return bios, waits


def fscrypt_6_12_software(length, data_unit):
    """fscrypt_zeroout_range without inline encryption (fs/crypto/bio.c); also the units encrypted."""
    bios, encrypted = [], 0
    remaining = length // data_unit
    per_page = PAGE_SIZE // data_unit
    nr_pages = min(16, (remaining + per_page - 1) // per_page)
    while remaining:
        bio = Bio(nr_pages, old=True)
        i = offset = 0
        while i != nr_pages and remaining:
            encrypted += 1
            remaining -= 1
            offset += data_unit
            if offset == PAGE_SIZE or not remaining:
                assert bio.add(offset)
                i += 1
                offset = 0
        bios.append(bio.row())
    return bios, encrypted


def kcopyd(block, subjob, old=False):
    """dm_kcopyd_zero, segment_complete (drivers/md/dm-kcopyd.c), do_region (dm-io.c)."""
    bios = []
    progress = 0
    while progress < block:
        count = min(block - progress, subjob)
        progress += count
        remaining = count
        while remaining:
            num_bvecs = min((remaining + PAGE_SIZE - 1) // PAGE_SIZE + 1, BIO_MAX_VECS)
            bio = Bio(num_bvecs, old)
            while remaining:
                size = min(PAGE_SIZE, remaining)
                if not bio.add(size):
                    break
                remaining -= size
            bios.append(bio.row())
    return bios


def zero_iter(count, step=PAGE_SIZE):
    """zero_iter (mm/vmalloc.c): the size of each copy."""
    copies = []
    remains = count
    while remains > 0:
        num = min(remains, step)
        copies.append(num)
        remains -= num
    return copies


def kcore(offset, length, step=PAGE_SIZE):
    """read_kcore_iter (fs/proc/kcore.c) over one hole."""
    copies = []
    size = min(PAGE_SIZE - offset % PAGE_SIZE, length)
    while length:
        copies += zero_iter(size, step)
        length -= size
        size = PAGE_SIZE if length > PAGE_SIZE else length
    return copies


def rxperf(reply_len, step=PAGE_SIZE):
    """rxperf_process_call (net/rxrpc/rxperf.c): (calls, bytes offered by each but the cookie's)."""
    sent, calls = [], 0
    while reply_len > 0:
        size = min(reply_len, step)
        calls += 1
        sent.append(size)
        reply_len -= size
    return calls + 1, sent


def checksum_merge(b_len, step=PAGE_SIZE):
    """bch2_checksum_merge (fs/bcachefs/checksum.c of 6.12)."""
    updates = []
    while b_len:
        page_len = min(b_len, step)
        updates.append(page_len)
        b_len -= page_len
    return updates


def nvme_tcp(length, offset, pdu, folio):
    """nvme_tcp_try_send_data (drivers/nvme/host/tcp.c), skb_splice_from_iter: (sends, references)."""
    vectors = []
    at = offset % folio
    left = length
    while left:
        size = min(folio - at, left)
        vectors.append([at, size])
        left -= size
        at = 0
    sends = references = 0
    pdu_left = pdu or length
    while vectors:
        at, size = vectors[0]
        part = min(size, pdu_left)
        sends += 1
        pdu_left = (pdu_left - part) or pdu or length
        spliced = part
        while spliced:
            piece = min(PAGE_SIZE - at % PAGE_SIZE, spliced)
            references += 1
            at += piece
            spliced -= piece
        if part == size:
            vectors.pop(0)
        else:
            vectors[0] = [at, size - part]
    return sends, references
