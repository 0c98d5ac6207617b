import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.elasticsearch.bootstrap.BootstrapInfo;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Runs one node in this JVM until SIGTERM. Arguments: the home (with config/ and modules/), the
 * HTTP port, the folder for data, then settings as key=value.
 */
public final class Launcher {
    private Launcher() {}

    public static void main(String[] arguments) throws Exception {
        String name = "node-" + arguments[1];
        Path home = Path.of(arguments[0]);
        Path data = Path.of(arguments[2]);
        Settings.Builder settings = Settings.builder()
            .put("cluster.name", "local")
            .put("node.name", name)
            .put("path.home", home.toString())
            .put("path.data", data.toString())
            .put("path.logs", data.resolve("logs").toString())
            .put("network.host", "127.0.0.1")
            .put("http.port", arguments[1])
            .put("transport.port", "0")
            .put("discovery.type", "single-node");
        for (int i = 3; i < arguments.length; i++) {
            String[] entry = arguments[i].split("=", 2);
            settings.put(entry[0], entry[1]);
        }

        BootstrapInfo.init();
        Environment environment = new Environment(settings.build(), home.resolve("config"));
        LogConfigurator.setClusterName("local");
        LogConfigurator.setNodeName(name);
        LogConfigurator.configure(environment, true);
        Node node = new Node(environment, PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(environment.modulesDir()),
            PluginsLoader.loadPluginsBundles(environment.pluginsDir()),
            Map.of()));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        try {
            node.start();
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
        new CountDownLatch(1).await();
    }

    private static void close(Node node) {
        try {
            node.prepareForClose();
            node.close();
            node.awaitClose(10, TimeUnit.SECONDS);
        } catch (Exception failure) {
            failure.printStackTrace();
        }
    }
}
