package swordlab;

import java.io.IOException;
import org.apache.hadoop.fs.FileChecksum;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.mapreduce.JobContext;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.lib.output.FileOutputCommitter;

/**
 * Commits a batch of Spark's file sink to HDFS so that a reader never misses a committed row.
 *
 * Hadoop's own committer, when a batch is repeated after a crash, deletes the file of the first attempt and then
 * renames the new one: in between its rows are gone. This one replaces the file in one step of the NameNode, or leaves
 * it alone where both are equal, since a reader may have it open.
 */
public class BatchCommitter extends FileOutputCommitter {
    private static final String UNFINISHED = "_temporary";
    private final Path output;

    public BatchCommitter(Path output, TaskAttemptContext context) throws IOException {
        super(output, context);
        this.output = output;
    }

    /** Remove what a killed driver left unfinished: else it would be committed with the next batch. */
    public void setupJob(JobContext job) throws IOException {
        this.output.getFileSystem(job.getConfiguration()).delete(new Path(this.output, UNFINISHED), true);
        super.setupJob(job);
    }

    /** Move the files of the finished tasks; Hadoop's own committer then tidies up. */
    public void commitJob(JobContext job) throws IOException {
        FileSystem files = this.output.getFileSystem(job.getConfiguration());
        if (files instanceof DistributedFileSystem) {
            FileStatus[] tasks = files.listStatus(this.getJobAttemptPath(job));
            for (int i = 0; i < tasks.length; i++) {
                if (!tasks[i].getPath().getName().equals(UNFINISHED)) {
                    move((DistributedFileSystem) files, tasks[i].getPath(), this.output);
                }
            }
        }
        super.commitJob(job);
    }

    private static void move(DistributedFileSystem files, Path from, Path to) throws IOException {
        FileStatus[] entries = files.listStatus(from);
        for (int i = 0; i < entries.length; i++) {
            Path source = entries[i].getPath();
            Path target = new Path(to, source.getName());
            if (entries[i].isDirectory()) {
                files.mkdirs(target);
                move(files, source, target);
            } else if (files.exists(target) && files.getFileChecksum(source).equals(files.getFileChecksum(target))) {
                files.delete(source, false);
            } else {
                files.rename(source, target, new Options.Rename[] {Options.Rename.OVERWRITE});
            }
        }
    }
}
