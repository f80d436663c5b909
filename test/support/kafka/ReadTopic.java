import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Prints the committed records of a topic, as Kafka's own client sees them: a line each, its fields in Base64. */
public class ReadTopic {
  public static void main(String[] args) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("isolation.level", "read_committed");
    settings.put("enable.auto.commit", "false");
    ByteArrayDeserializer bytes = new ByteArrayDeserializer();
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
      var partitions = consumer.partitionsFor(args[1]).stream()
          .map(one -> new TopicPartition(one.topic(), one.partition()))
          .collect(Collectors.toList());
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (partitions.stream().anyMatch(one -> consumer.position(one) < ends.get(one))) {
        for (var record : consumer.poll(Duration.ofMillis(500))) {
          System.out.println(String.join(" ", text(record.key()), text(record.value()),
              header(record.headers().lastHeader("journal")), header(record.headers().lastHeader("database"))));
        }
      }
    }
    System.out.println("end");
  }

  private static String header(Header header) {
    return text(header == null ? null : header.value());
  }

  private static String text(byte[] bytes) {
    return Base64.getEncoder().encodeToString(bytes == null ? "".getBytes(StandardCharsets.UTF_8) : bytes);
  }
}
