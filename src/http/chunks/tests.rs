use http_body_util::BodyExt as _;

use super::*;

fn clock() -> Clock {
    Clock::test(0)
}

/// Lets steps pass for somebody who waits all the time.
async fn steps(clock: &Clock, count: usize) {
    for _ in 0..count {
        clock.until_sleeping(1).await;
        clock.advance(STILL_STEP);
        // Nobody sleeps between two steps; on one thread the writer runs now.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn chunks_arrive_in_order() {
    let (mut writer, response) = json_chunks();
    let task = tokio::spawn(async move {
        writer.write(b"[").await.unwrap();
        for _ in 0..40_000 {
            writer.write(b"1234,").await.unwrap();
        }
        writer.write(b"0]").await.unwrap();
        writer.finish().await.unwrap();
    });
    let body = response.into_body().collect().await.unwrap().to_bytes();
    task.await.unwrap();
    let numbers: Vec<u32> = serde_json::from_slice(&body).unwrap();
    assert_eq!(numbers.len(), 40_001);
}

#[tokio::test]
async fn an_unfinished_answer_is_an_error() {
    let (mut writer, response) = json_chunks();
    writer.write(b"{\"half\":").await.unwrap();
    writer.flush().await.unwrap();
    drop(writer);
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "{\"half\":");
    assert!(body.collect().await.is_err());
}

#[tokio::test]
async fn the_writer_learns_that_the_reader_has_gone() {
    let (mut writer, response) = json_chunks();
    drop(response);
    writer.write(b"x").await.unwrap();
    assert!(writer.flush().await.is_err());
}

#[tokio::test]
async fn a_reader_that_takes_nothing_for_a_minute_is_left() {
    let clock = clock();
    let held = Arc::new(());
    let place = Arc::downgrade(&held);
    let (mut writer, pieces) = ChunkWriter::new(clock.clone(), Some(Box::new(held)));
    let body = Body::from_stream(pieces);
    let pipe = writer.pipe.clone();
    let task = tokio::spawn(async move { while writer.write(&vec![b' '; CHUNK_BYTES]).await.is_ok() {} });
    clock.until_sleeping(1).await;
    // One leap of the clock is no minute of standing still.
    clock.advance(Duration::from_hours(1));
    tokio::task::yield_now().await;
    clock.until_sleeping(1).await;
    assert_eq!(pipe.state.lock().pieces.len(), CHUNKS_WAITING_MAX);
    steps(&clock, STILL_STEPS_MAX - 1).await;
    task.await.unwrap();
    assert!(place.upgrade().is_none(), "what the task held is given back");
    assert!(pipe.state.lock().pieces.is_empty(), "and so is what waited");
    assert!(body.collect().await.is_err(), "nobody takes it for whole");
}

#[tokio::test]
async fn a_reader_that_does_not_take_the_last_piece_is_left() {
    let clock = clock();
    let (mut writer, pieces) = ChunkWriter::new(clock.clone(), None);
    let body = Body::from_stream(pieces);
    let task = tokio::spawn(async move {
        writer.write(b"{}").await?;
        writer.finish().await
    });
    clock.until_sleeping(1).await;
    assert!(!task.is_finished(), "it holds what it holds until the answer was taken");
    steps(&clock, STILL_STEPS_MAX).await;
    assert!(task.await.unwrap().is_err());
    assert!(body.collect().await.is_err());
}

#[tokio::test]
async fn a_slow_reader_has_all_the_time_it_needs() {
    let clock = clock();
    let content: Vec<u8> = (0..20 * CHUNK_BYTES).map(|n| b'a' + u8::try_from(n / 1000 % 26).unwrap()).collect();
    let file = io::Cursor::new(content.clone());
    let mut body = file_pieces(clock.clone(), "head".to_owned(), file, "tail".to_owned(), ());
    let mut read = Vec::new();
    let mut pieces = 0;
    while let Some(frame) = body.frame().await {
        read.extend_from_slice(&frame.unwrap().into_data().unwrap());
        pieces += 1;
        // Most of a minute for each piece.
        for _ in 1..STILL_STEPS_MAX {
            tokio::task::yield_now().await;
            clock.advance(STILL_STEP);
        }
    }
    assert!(pieces >= 20);
    assert_eq!(read, [b"head", content.as_slice(), b"tail"].concat());
}

#[tokio::test]
async fn a_file_that_nobody_reads_is_closed() {
    let clock = clock();
    let held = Arc::new(());
    let place = Arc::downgrade(&held);
    let content = io::Cursor::new(vec![0; 20 * CHUNK_BYTES]);
    let body = file_pieces(clock.clone(), String::new(), content, String::new(), held);
    clock.until_sleeping(1).await;
    assert!(place.upgrade().is_some());
    steps(&clock, STILL_STEPS_MAX).await;
    while place.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
    assert!(body.collect().await.is_err());
}
